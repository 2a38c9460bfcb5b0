"""A measured row and its JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.wording import milliseconds
from bench.results.measurement import latency_of
from bench.results.samples import Samples
from tests.support.results_builder import measurement, steady


class TestValidity:
    def test_too_few_queries_are_said(self) -> None:
        latency = latency_of(Samples((steady(40),), np.zeros(1, np.uint16)), 16)
        assert (latency.valid, "too few" in (latency.why_invalid or "")) == (False, True)

    def test_processes_that_differ_leave_the_median_imprecise(self) -> None:
        latency = latency_of(Samples((steady(400), steady(400, 1_200_000)), np.zeros(1, np.uint16)), 16)
        assert "imprecise: p50 is known only within" in (latency.why_invalid or "")

    def test_a_steady_sample_is_valid(self) -> None:
        latency = latency_of(Samples((steady(400), steady(400, seed=1)), np.zeros(1, np.uint16)), 16)
        assert (latency.valid, latency.why_invalid) == (True, None)


class TestRows:
    def test_have_the_keys_that_the_design_promises(self) -> None:
        row = measurement().row.to_json()
        expected = {
            "": "model name variant format runtime runtime_version device accelerator threads",
            "artifact": "path sha256 size_bytes",
            "accuracy": "correct total top1 ci95 agreement_with_reference dataset_sha256",
            "latency": "queries processes warmup_calls p50_ms p90_ms p99_ms min_ms ci95_p50_ms valid why_invalid",
            "startup": "import_ms load_ms first_inference_ms",
            "memory": "peak_rss_bytes",
            "samples": "file key count sha256",
        }
        for part, names in expected.items():
            holder = row[part] if part else row
            assert set(names.split()) <= set(holder)
        assert json.loads(json.dumps(row, allow_nan=False)) == row

    def test_samples_survive_the_file(self) -> None:
        samples = measurement().samples
        again = Samples.from_arrays(samples.to_arrays("k"), "k")
        assert [len(process) for process in again.latency_ns] == [50, 60]
        assert again.sha256 == samples.sha256

    @pytest.mark.parametrize(
        ("value", "shown"), [(None, "–"), (0.01234, "0.0123"), (1.0, "1.00"), (123.4, "123"), (12_345.6, "12,346")]
    )
    def test_milliseconds_have_three_digits(self, value: float | None, shown: str) -> None:
        assert milliseconds(value) == shown


class TestTurns:
    LATENCY_NS = (np.arange(1, 8), np.arange(11, 16))
    TURNS = (np.array([3, 4]), np.array([5]))

    def test_they_come_back_from_the_npz_by_process(self) -> None:
        samples = Samples(self.LATENCY_NS, np.zeros(1, np.uint16), turn_queries=self.TURNS)
        back = Samples.from_arrays(samples.to_arrays("k"), "k")
        assert back.turns_ns is not None
        assert [[turn.tolist() for turn in turns] for turns in back.turns_ns] == [
            [[1, 2, 3], [4, 5, 6, 7]],
            [[11, 12, 13, 14, 15]],
        ]
        assert back.sha256 == samples.sha256

    def test_samples_without_turns_have_the_hash_that_they_always_had(self) -> None:
        plain = Samples(self.LATENCY_NS, np.zeros(1, np.uint16))
        assert plain.turns_ns is None
        assert "k/turn_queries" not in plain.to_arrays("k")
        assert plain.sha256 == "f0cce40e6e9b68739318c3b71981864ed7a257f881842dd26e8b448450f12afa"
        assert replace(plain, turn_queries=self.TURNS).sha256 != plain.sha256

    @pytest.mark.parametrize("sizes", [[3, 4, 4], [3, 9], [7, 0, 5], [], [4, 4, 4]])
    def test_turns_that_do_not_add_up_are_refused(self, sizes: list[int]) -> None:
        arrays = Samples(self.LATENCY_NS, np.zeros(1, np.uint16)).to_arrays("k")
        with pytest.raises(ValueError, match="do not add up"):
            Samples.from_arrays({**arrays, "k/turn_queries": np.array(sizes, np.int64)}, "k")
