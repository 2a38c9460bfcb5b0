"""The details of a row on the page: confusions, calibration and the pictures that are answered otherwise."""

from pathlib import Path

import numpy as np
import pytest

from bench.report.row_details import confusion_entries
from tests.support.report_pages import data_of


class TestInThePage:
    def test_flips_have_their_pictures(self, report: Path) -> None:
        data = data_of(report.read_text())
        flips = data["details"]["m/int8.tflite/litert/host/cpu/1"]["flips"]
        assert flips["count"] == 12  # 0 to 4 are right now, 10 to 16 wrong
        assert [place for place, *_ in flips["shown"]] == [*range(5), *range(10, 17)]
        assert all(data["pictures"][flips["pool"]][str(place)].startswith("data:image/png") for place, *_ in flips["shown"])

    def test_confusions_add_up_to_the_pictures(self, report: Path) -> None:
        for detail in data_of(report.read_text())["details"].values():
            assert sum(count for *_, count in detail["confusions"]) == 2_000
            assert len(detail["classes"]) == 10

    def test_calibration_is_of_real_scores_alone(self, report: Path) -> None:
        details = data_of(report.read_text())["details"]
        assert details["m/float32.tflite/litert/host/cpu/1"]["calibration"][0] == pytest.approx(0.025, abs=1e-3)
        assert details["m/float32.tflite/litert/host/cpu/1"]["unsure"][-1][2] == 1  # all wrong answers are below it
        int8 = details["m/int8.tflite/litert/host/cpu/1"]
        assert int8["calibration"] is None
        assert int8["unsure"] == []
        assert "multiples of 1/256" in int8["scores"]

    def test_many_classes_are_a_list_of_the_largest_confusions(self) -> None:
        table = np.eye(50, dtype=np.int64) * 9
        table[3, 4], table[7, 1] = 2, 5
        assert confusion_entries(table) == [[7, 1, 5], [3, 4, 2]]

    def test_pictures_that_a_device_did_not_answer_are_an_answer_of_their_own(self) -> None:
        """It comes after the last class, in small tables and in large ones."""
        small, large = np.zeros((3, 4), np.int64), np.zeros((50, 51), np.int64)
        small[1, 3] = large[49, 50] = 2
        assert (confusion_entries(small), confusion_entries(large)) == ([[1, 3, 2]], [[49, 50, 2]])
