"""The loop of a search, with trials that train nothing."""

import errno
import os
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from bench.search.engine import Allowance
from bench.search.halving import RUNGS
from bench.search.result import Limit
from bench.search.shown.sentences import sentences
from bench.search.store import read_search
from bench.search.study import FILE
from bench.search.trial import Job, Work
from device.errors import CheckFailed, EdgeproofError
from tests.support.searching.search_trials import FakePool, engine, fake_work, right_of, searched, spec

ACCURATE = Limit("top1", least=0.94)  # stand-ins with 10 filters or more are


def test_the_winner_is_the_smallest_trial_that_keeps_the_budget(tmp_path: Path) -> None:
    result = searched(spec(tmp_path, ACCURATE), tmp_path, FakePool(), trials=40)
    kept = [int(trial.settings["filters"]) for trial in result.done if trial.keeps_budget]
    assert result.winner is not None
    assert result.trial(result.winner).settings["filters"] == min(kept)
    assert min(kept) >= 10
    assert read_search(tmp_path / "build").winner == result.winner


def test_a_trial_is_trained_a_little_before_it_is_trained_to_its_end(tmp_path: Path) -> None:
    pool = FakePool()
    searched(spec(tmp_path, ACCURATE), tmp_path, pool)
    shares = [job.share for job in pool.jobs if job.number == 0]
    assert tuple(shares) == RUNGS
    assert [job.state for job in pool.jobs if job.number == 0] == [None, b"state", b"state"]


def test_a_trial_that_breaks_the_budget_by_its_size_stops_after_the_first_rung(tmp_path: Path) -> None:
    pool = FakePool()
    result = searched(spec(tmp_path, Limit("size_bytes", most=9000)), tmp_path, pool)
    large = [trial for trial in result.trials if int(trial.settings["filters"]) > 9]
    assert large
    for trial in large:
        assert trial.state == "pruned"
        assert "but size at most 9.0 kB" in str(trial.reason)
        assert [job.share for job in pool.jobs if job.number == trial.number] in ([], [RUNGS[0]])


def test_a_size_that_is_known_to_break_the_budget_is_not_trained_again(tmp_path: Path) -> None:
    text = "[build]\nfilters = [8, 20]\n[recipe]\nlearning_rate = { low = 1e-3, high = 1e-2 }\n"
    pool = FakePool()
    asked = spec(tmp_path, Limit("size_bytes", most=9000), ACCURATE, text=text)
    result = searched(asked, tmp_path, pool)
    large = {trial.number for trial in result.trials if trial.settings["filters"] == 20}
    assert len(large) > 1
    assert len({job.number for job in pool.jobs} & large) == 1


def test_a_full_disk_ends_the_search_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spec(tmp_path)
    with monkeypatch.context() as patch:
        found = engine(asked, tmp_path, FakePool())
        storage: Any = found._study._study._storage
        patch.setattr(storage._backend, "append_logs", no_space)
        with pytest.raises(EdgeproofError, match=r"trials.journal: cannot be written: No space left on device: free some"):
            found.run()
    assert len(searched(asked, tmp_path, FakePool()).trials) == 12


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_those_whose_latencies_are_close_are_measured_in_turns_with_each_other_at_the_end(tmp_path: Path) -> None:
    text = "[build]\nfilters = [10, 14, 18]\n"
    result = searched(spec(tmp_path, ACCURATE, text=text, minimize="latency_ratio"), tmp_path, FakePool())
    assert result.winner is not None
    assert result.trial(result.winner).settings["filters"] == 10
    assert result.lead is not None
    assert not result.lead.is_tie


def test_trials_of_one_size_have_one_latency_and_the_more_accurate_one_goes_first(tmp_path: Path) -> None:
    text = "[build]\nfilters = [10, 14]\n[recipe]\nepochs = [10]\nlearning_rate = { low = 1e-3, high = 1e-2 }\n"

    def faster_learns_more(job: Job) -> Work:
        work = fake_work(job)
        work.answers[: right_of(job) + round(1000 * float(job.settings["learning_rate"]))] = 0
        return work

    asked = spec(tmp_path, ACCURATE, text=text, minimize="latency_ratio")
    result = searched(asked, tmp_path, FakePool(faster_learns_more))
    by_filters: dict[object, set[float]] = {}
    for one in result.done:
        by_filters.setdefault(one.settings["filters"], set()).add((one.figures or {})["latency_ratio"])
    assert by_filters == {10: {10_000.0}, 14: {14_000.0}}
    assert result.winner is not None
    smallest = [one for one in result.done if one.settings["filters"] == 10]
    assert len(smallest) > 1
    assert result.trial(result.winner).correct == max(one.correct or 0 for one in smallest)


def test_of_one_size_of_network_the_figures_are_measured_once(tmp_path: Path) -> None:
    text = "[build]\nfilters = [8]\n[recipe]\nlearning_rate = { low = 1e-3, high = 1e-2 }\n"
    found = engine(spec(tmp_path, text=text), tmp_path, FakePool())
    found.run()
    assert len(found._measures.measured) == 1  # type: ignore[attr-defined]  # a stand-in


def test_where_nothing_keeps_the_budget_the_nearest_is_named_and_how_far_it_is(tmp_path: Path) -> None:
    text = "[build]\nfilters = [4, 8]\n"
    result = searched(spec(tmp_path, Limit("top1", least=0.95), text=text), tmp_path, FakePool())
    assert result.winner is None
    assert sentences(result)[-1] == (
        "No trial keeps the budget. The nearest is trial 0 (filters 8): accuracy 93.60 %, 1.40 points under 95.00 %"
    )


def test_a_trial_that_crashes_is_a_row_with_one_line(tmp_path: Path) -> None:
    def crashes(job: Job) -> Work:
        if job.number == 2:
            raise CheckFailed("phase 'train', epoch 2: the loss is nan: the learning rate is too high\nand more")
        return fake_work(job)

    trial = searched(spec(tmp_path), tmp_path, FakePool(crashes)).trial(2)
    assert trial.state == "failed"
    assert trial.reason == "phase 'train', epoch 2: the loss is nan: the learning rate is too high"


def test_a_space_in_which_all_fails_ends_the_search(tmp_path: Path) -> None:
    def crashes(_: Job) -> Work:
        raise ValueError("no memory")

    with pytest.raises(CheckFailed, match=r"6 trials in a row failed, the last .*ValueError: no memory"):
        searched(spec(tmp_path), tmp_path, FakePool(crashes), trials=40)


def test_a_scheduler_that_goes_away_ends_the_search_and_loses_nothing(tmp_path: Path) -> None:
    def goes_away(job: Job) -> Work:
        if job.number == 3:
            raise CancelledError
        return fake_work(job)

    asked = spec(tmp_path)
    with pytest.raises(CheckFailed, match="the workers are gone"):
        searched(asked, tmp_path, FakePool(goes_away))
    pool = FakePool()
    result = searched(asked, tmp_path, pool)
    assert len(result.trials) == 12
    assert min(job.number for job in pool.jobs) >= 2


def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path) -> None:
    def interrupted(job: Job) -> Work:
        if len(pool.jobs) == 7:
            raise KeyboardInterrupt
        return fake_work(job)

    asked = spec(tmp_path)
    pool = FakePool(interrupted)
    first = engine(asked, tmp_path, pool)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    before = {trial.number: trial for trial in first.result.trials}
    again = FakePool()
    result = searched(asked, tmp_path, again)
    assert {trial.number: trial for trial in result.trials if trial.number in before} == before
    assert len(result.trials) == 12
    assert not {job.number for job in again.jobs} & set(before)


def test_the_same_settings_are_not_trained_twice(tmp_path: Path) -> None:
    pool = FakePool()
    result = searched(spec(tmp_path, text="[build]\nfilters = [4, 8, 12]\n"), tmp_path, pool, trials=30)
    assert sorted(int(trial.settings["filters"]) for trial in result.trials) == [4, 8, 12]


def test_without_time_nothing_begins(tmp_path: Path) -> None:
    pool = FakePool()
    result = engine(spec(tmp_path), tmp_path, pool, seconds=0.0).run()
    assert (result.trials, result.winner, pool.jobs) == ((), None, [])


def test_with_more_time_a_trial_that_the_time_stopped_goes_on(tmp_path: Path) -> None:
    def until_the_time_is_over(job: Job) -> Work:
        if len(pool.jobs) == 2:
            first._allowance = Allowance(12, 0.0)
        return fake_work(job)

    asked = spec(tmp_path)
    pool, again = FakePool(until_the_time_is_over), FakePool()
    first = engine(asked, tmp_path, pool)
    assert {trial.reason for trial in first.run().trials} == {"the time was over"}
    result = searched(asked, tmp_path, again)
    assert again.jobs[0].number == 0
    assert again.jobs[0].state == b"state"
    assert result.trial(0).state == "done"


class TestStudy:
    def test_of_another_question_is_refused(self, tmp_path: Path) -> None:
        searched(spec(tmp_path), tmp_path, FakePool(), trials=1)
        with pytest.raises(EdgeproofError, match=r"was asked with another limits .* or another --name"):
            searched(spec(tmp_path, ACCURATE), tmp_path, FakePool())

    def test_of_another_version_is_refused(self, tmp_path: Path) -> None:
        asked = spec(tmp_path)
        searched(asked, tmp_path, FakePool(), trials=1)
        path = tmp_path / "build" / FILE
        path.write_text(path.read_text().replace('"schema":1', '"schema":0').replace('"schema": 1', '"schema": 0'))
        with pytest.raises(EdgeproofError, match="schema is 0, this version reads 1"):
            searched(asked, tmp_path, FakePool())

    def test_that_a_power_cut_cut_short_goes_on(self, tmp_path: Path) -> None:
        asked = spec(tmp_path)
        searched(asked, tmp_path, FakePool(), trials=4)
        path = tmp_path / "build" / FILE
        path.write_bytes(path.read_bytes()[:-20])
        assert len(searched(asked, tmp_path, FakePool(), trials=6).trials) == 6

    @pytest.mark.parametrize("damage", [b"no json\n", b'{"op_code": 99}\n', b"\xff\xfe\n"])
    def test_that_is_damaged_is_refused_in_one_line(self, damage: bytes, tmp_path: Path) -> None:
        asked = spec(tmp_path)
        searched(asked, tmp_path, FakePool(), trials=1)
        path = tmp_path / "build" / FILE
        path.write_bytes(damage + path.read_bytes())
        with pytest.raises(EdgeproofError, match="is no readable journal of a search"):
            searched(asked, tmp_path, FakePool())

    def test_of_a_killed_search_that_held_its_lock_goes_on(self, tmp_path: Path) -> None:
        asked = spec(tmp_path)
        searched(asked, tmp_path, FakePool(), trials=1)
        path = tmp_path / "build" / FILE
        Path(f"{path}.lock").symlink_to(path)
        assert len(searched(asked, tmp_path, FakePool(), trials=2).trials) == 2
