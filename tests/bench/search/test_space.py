"""The space of a search: what its file may say, and which line is refused."""

from pathlib import Path

import pytest

from bench.search.sizes import check_sizes
from bench.search.space import Choice, Range, own_space, read_space
from device.errors import EdgeproofError
from train.models import model_names

MODEL = "mnist_cnn_crop"


def write(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_a_table_is_a_range_a_list_a_choice_and_one_value_is_fixed(tmp_path: Path) -> None:
    text = "[build]\nfilters = { low = 4, high = 8 }\ndepth = [2, 3]\n[recipe]\nlearning_rate = 0.01\n"
    space = read_space(MODEL, write(tmp_path, text))
    assert space.axes == {"filters": Range(4, 8), "depth": Choice((2, 3)), "learning_rate": Choice((0.01,))}
    assert space.build == ("filters", "depth")
    assert space.artifacts == (("int8.tflite", "litert"),)


@pytest.mark.parametrize("model", [name for name in model_names() if own_space(name).exists()])
def test_the_space_beside_a_model_can_be_read(model: str) -> None:
    assert len(read_space(model, None).axes) > 3


DEFECTS = {
    "an unknown key": ("[build]\nfilter = [4]\n", "line 2: filter: unknown key of \\[build\\]: there are"),
    "an unknown table": ("[builds]\nfilters = [4]\n", "line 1: builds: unknown key"),
    "an empty range": ("[build]\nfilters = { low = 8, high = 4 }\n", "line 2: filters: the range is empty"),
    "an empty list": ("[build]\nfilters = []\n", "line 2: filters: is an empty list"),
    "a range without an end": (
        "[build]\nfilters = { low = 4 }\n",
        "line 2: filters: found nothing, expected a whole",
    ),
    "a range with another key": ("[build]\nfilters = { low = 4, high = 8, steps = 2 }\n", "unknown key 'steps' of a range"),
    "a step beyond the range": ("[build]\nfilters = { low = 4, high = 8, step = 5 }\n", "step 5"),
    "a logarithm of zero": ("[recipe]\ndropout = { low = 0.0, high = 0.5, log = true }\n", "needs a low above 0"),
    "half a filter": ("[build]\nfilters = [4.5]\n", "line 2: filters: found 4.5, expected a whole number"),
    "no filter": ("[build]\nfilters = { low = -1, high = 4 }\n", "found -1, expected 0 or more"),
    "a share of one": ("[recipe]\n\n# comment\ndropout = [0.1, 1.0]\n", "line 4: dropout: found 1.0, expected 0 to less"),
    "no epoch": ("[recipe]\nepochs = [0, 4]\n", "line 2: epochs: found 0, expected a number above 0"),
    "a range of names": ('[recipe]\noptimizer = { low = "adam", high = "sgd" }\n', "is no number"),
    "an unknown optimizer": ('[recipe]\noptimizer = ["adan"]\n', "expected one of adam"),
    "nothing to search": ("[build]\nfilters = 8\n", "there is nothing to search"),
    "a seed": ("[recipe]\nseed = [1, 2]\n", "line 2: seed: unknown key"),
    "a variant that is none": ('variants = ["int9"]\n[build]\nfilters = [4, 8]\n', "unknown variant 'int9'"),
    "a runtime that opens none of them": ('runtimes = ["onnxruntime"]\n[build]\nfilters = [4, 8]\n', "no runtime opens"),
    "a first trial outside": ("[build]\nfilters = [4, 8]\n[first]\nfilters = 6\n", "outside of what line 2 allows"),
    "no TOML": ("[build\n", "is no readable TOML"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_refused_with_its_line(defect: str, tmp_path: Path) -> None:
    text, found = DEFECTS[defect]
    with pytest.raises(EdgeproofError, match=found):
        read_space(MODEL, write(tmp_path, text))


def test_a_model_without_a_space_of_its_own_asks_for_one() -> None:
    with pytest.raises(EdgeproofError, match="--space FILE"):
        read_space("mobilenet_v2", None)


@pytest.mark.slow
def test_a_size_that_no_network_can_have_is_refused_with_its_line(tmp_path: Path) -> None:
    space = read_space(MODEL, write(tmp_path, "[build]\nfilters = [4, 8]\ndepth = [3, 4]\n"))
    with pytest.raises(EdgeproofError, match="line 3: depth = 4: no mnist_cnn_crop can have it"):
        check_sizes(MODEL, space)
