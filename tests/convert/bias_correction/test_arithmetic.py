"""The arithmetic of a correction."""

import numpy as np
import pytest

from convert.bias_correction.arithmetic import Overflow, affordable, channel_means, corrected_bias, left_out


def test_a_difference_goes_into_the_bias_in_its_own_steps() -> None:
    bias = np.array([10, -20, 2_000_000_000], np.int32)
    corrected = corrected_bias("dense", bias, np.array([0.5, -0.26, 0.0]), np.array([0.1, 0.1, 1e-9]))
    assert corrected.tolist() == [15, -23, 2_000_000_000]
    assert corrected.dtype == np.int32


@pytest.mark.parametrize("difference", [3.0, -6.0, np.inf, np.nan])
def test_a_bias_that_would_leave_int32_is_refused_with_layer_and_channel(difference: float) -> None:
    bias = np.array([0, 2_000_000_000], np.int32)
    with pytest.raises(Overflow, match=r"layer dense: channel 1 of its bias would become .*int32 ends at 2,147,483,647"):
        corrected_bias("dense", bias, np.array([0.0, difference]), np.array([1e-9, 1e-9]))


def test_means_are_those_of_each_channel_wherever_it_stands() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert channel_means(values, -1).tolist() == [10, 11, 12, 13]
    assert channel_means(values, 1).tolist() == [7.5, 11.5, 15.5]


def test_so_many_pictures_are_measured_on_as_memory_allows() -> None:
    assert affordable(300, 100_000) == 300
    assert affordable(300, 2_000_000) == 128
    assert affordable(300, 1_000_000_000) == 20
    assert affordable(10, 1_000_000_000) == 10
    assert affordable(300, 0) == 300


def test_what_was_left_out_is_said_in_words() -> None:
    assert left_out(without_bias=1, other_type=0, shared=2) == (
        "1 layer without a bias",
        "2 layers that share their bias with another layer",
    )
