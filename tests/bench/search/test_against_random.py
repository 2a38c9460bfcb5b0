"""Proposals by Optuna's sampler are at least as good as random ones, on a table of real trials."""

import pytest

from bench.search.study import sampler
from tests.tools.search_against_random import (
    QUESTIONS,
    SIZE,
    Asked,
    Table,
    area_above,
    compare,
    fewest_errors,
    random_sampler,
    simulated,
    smallest,
)


@pytest.fixture(scope="module")
def table() -> Table:
    return Table.read()


def settings(**changes: float) -> dict[str, float]:
    """Return settings on the recorded grid."""
    return {"filters": 5, "learning_rate": 0.006, "dropout": 0.25, "shift_pixels": 0.0, **changes}


def test_a_point_of_the_grid_is_the_recorded_trial(table: Table) -> None:
    sizes = [len(values) for values in table.axes.values()]
    place = ((1 * sizes[1] + 1) * sizes[2] + 1) * sizes[3]
    found = table.trial(0, settings(dropout=0.5), ())
    assert found.correct == pytest.approx(100_000 * (1 - table.errors[place]), abs=1)
    assert found.figures == {SIZE: table.parameters[1]}


def test_between_two_points_lies_their_mean(table: Table) -> None:
    ends = [table.trial(0, settings(dropout=value), ()).correct or 0 for value in (0.0, 0.5)]
    assert table.trial(0, settings(dropout=0.25), ()).correct == pytest.approx(sum(ends) / 2, abs=1)


def test_the_same_seed_gives_the_same_trials(table: Table) -> None:
    first, again, other = (simulated(table, random_sampler, seed, 4, ()) for seed in (1, 1, 2))
    assert first == again != other


def test_the_front_has_fewer_errors_with_every_trial(table: Table) -> None:
    trials = simulated(table, sampler, 0, 12, ())
    areas = [area_above(trials[:count], table) for count in range(1, 13)]
    assert areas == sorted(areas, reverse=True)
    assert 0 < areas[-1] < 100


def test_without_a_trial_that_keeps_the_budget_nothing_is_small_or_right() -> None:
    assert smallest([]) == float("inf")
    assert fewest_errors([]) == 100


@pytest.mark.slow
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked.words)
def test_it_is_at_least_as_good_as_random_search_in_the_median_of_thirty_seeds(table: Table, asked: Asked) -> None:
    own, other = compare(table, asked).medians
    assert own <= other
