"""What a model's output means."""

import numpy as np
import pytest

from device.outputs import UNSAID, meant_scores


def test_percentages_are_shares_of_100() -> None:
    found = meant_scores(np.array([21.9, 42.4, 25.2, 10.5], np.float32), UNSAID, 4)
    assert found == pytest.approx([0.219, 0.424, 0.252, 0.105])


@pytest.mark.parametrize("values", [[21.9, 42.4, 25.2, 11.5], [-1.0, 50.0, 51.0], [100.0]])
def test_what_is_not_100_together_or_falls_below_0_is_no_percentage(values: list[float]) -> None:
    found = meant_scores(np.array(values, np.float32), UNSAID, len(values))
    powers = np.exp(np.array(values) - max(values))
    assert found == pytest.approx(powers / powers.sum())
