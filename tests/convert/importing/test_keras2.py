"""Which parts of a Keras 2 file's description are code that would run."""

import pytest

from convert.importing.keras2 import code_in


@pytest.mark.parametrize("module", ["keras", "keras.layers", "tf_keras.src.layers", "tensorflow.python.keras.engine"])
def test_a_class_of_keras_itself_is_no_code_of_a_stranger(module: str) -> None:
    assert list(code_in({"class_name": "Dense", "module": module, "config": {"name": "scores"}})) == []


@pytest.mark.parametrize("module", ["mine", "keras_evil", "tf_keras2.layers", "tensorflow.python.keras_evil", "tensorflow"])
def test_a_class_of_any_other_module_is_also_where_its_name_begins_alike(module: str) -> None:
    (found,) = code_in([{"class_name": "Dense", "module": module, "config": {"name": "scores"}}])
    assert found == f"Dense of the Python module {module}"
