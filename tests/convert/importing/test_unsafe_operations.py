"""Operations of a SavedModel that must not run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.importing.import_model import import_model
from convert.importing.sources.saved_model import _meta_graph
from convert.importing.unsafe_operations import SAVES, UNSAFE_ANYWHERE, unsafe_operations
from device.errors import EdgeproofError
from tests.support.models.imported_models import SIDE, Paint, colour_network, outside, save

Touch = Callable[[Any, Path], Any]  # takes the pictures and a folder: a number that is 0, and what happens on the way


def reads(_image: Any, _folder: Path) -> Any:
    import tensorflow as tf

    return tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def writes(_image: Any, folder: Path) -> Any:
    import tensorflow as tf

    tf.io.write_file(str(folder / "written"), "x")
    return tf.constant(0.0)


def saves(image: Any, folder: Path) -> Any:
    import tensorflow as tf

    tf.raw_ops.SaveV2(prefix=str(folder / "written"), tensor_names=["a"], shape_and_slices=[""], tensors=[image])
    return tf.constant(0.0)


def saves_in_a_loop(image: Any, folder: Path) -> Any:
    import tensorflow as tf

    def body(count: Any) -> Any:
        saves(image, folder)
        return count + 1

    return 0 * tf.while_loop(lambda count: count < 1, body, [tf.constant(0.0)])[0]


def lists_files(_image: Any, _folder: Path) -> Any:
    import tensorflow as tf

    return tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)


HOSTILE: dict[str, tuple[Touch, str]] = {
    "reads": (reads, "ReadFile"),
    "writes": (writes, "WriteFile"),
    "saves": (saves, "SaveV2"),
    "saves_in_a_loop": (saves_in_a_loop, "SaveV2"),
    "lists_files": (lists_files, "MatchingFiles"),
}


def exported(folder: Path, touch: Touch) -> Path:
    """Save a model of pictures that does something else too, and return its folder."""
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]  # tensorflow is untyped
        def __init__(self) -> None:
            self.weights = tf.Variable(tf.ones((3, 5)))

        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3))])  # type: ignore[untyped-decorator]
        def __call__(self, image: Any) -> Any:
            return tf.nn.softmax(tf.reduce_mean(image, [1, 2]) @ self.weights + 0 * touch(image, folder))

    module = Module()
    path = folder / "hostile"
    tf.saved_model.save(module, str(path), signatures=module.__call__.get_concrete_function())
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_a_saved_model_that_reaches_the_file_system_is_refused_by_the_operation(
    paint: Paint, tmp_path: Path, name: str
) -> None:
    touch, operation = HOSTILE[name]
    path = exported(tmp_path, touch)
    with pytest.raises(EdgeproofError, match=rf"\({operation}\): not loaded.*--unsafe-code"):
        import_model(outside(paint, path), print)
    assert not list(tmp_path.glob("written*"))


def test_the_function_that_saves_a_model_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    graph = _meta_graph(save(colour_network(), tmp_path, "saved_model"))
    assert unsafe_operations(graph) == []
    assert any("SaveV2" in {node.op for node in function.node_def} for function in graph.graph_def.library.function)


def test_it_is_one_where_a_signature_calls_it(tmp_path: Path) -> None:
    import tensorflow as tf

    graph = _meta_graph(exported(tmp_path, lambda *_: tf.constant(0.0)))
    assert unsafe_operations(graph) == []
    (output,) = graph.signature_def["serving_default"].outputs.values()
    output.name = graph.saver_def.save_tensor_name
    assert "SaveV2" in unsafe_operations(graph)


def test_a_graph_of_tensorflow_1_may_save_but_not_when_it_is_loaded(tmp_path: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, (None, SIDE, SIDE, 3))
        weights = v1.get_variable("weights", (3, 5))
        scores = tf.nn.softmax(tf.reduce_mean(image, [1, 2]) @ weights)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "old"), {"image": image}, {"scores": scores})
    graph = _meta_graph(tmp_path / "old")
    assert unsafe_operations(graph) == []
    graph.collection_def["main_op"].node_list.value.append(graph.saver_def.save_tensor_name)
    assert unsafe_operations(graph) == ["MergeV2Checkpoints", "SaveV2"]


def test_the_operations_are_spelt_as_tensorflow_spells_them() -> None:
    from tensorflow.python.framework import op_def_registry

    assert {name for name in UNSAFE_ANYWHERE | SAVES if op_def_registry.get(name) is None} == set()
