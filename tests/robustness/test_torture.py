"""The torture itself."""

from pathlib import Path

import pytest

from common.files import write_bytes
from tests.robustness.torture.long_runs import Look, check_flat
from tests.robustness.torture.workplace import Broken, Workplace, counted


class TestTortureItself:
    """A torture that cannot fail shows nothing."""

    @pytest.mark.parametrize(("memory", "files"), [([100, 100, 106], [4, 4, 4]), ([100, 100, 100], [4, 5, 5])])
    def test_memory_or_files_that_grow_are_found(self, memory: list[int], files: list[int]) -> None:
        looks = [Look(0.0, resident, count) for resident, count in zip(memory, files, strict=True)]
        with pytest.raises(Broken, match=r"grows|stay open"):
            check_flat("it", looks)
        assert "+4.0 %" in check_flat("it", [Look(0.0, 100, 4), Look(0.0, 104, 4)])

    def test_half_written_mixed_and_lost_results_and_what_is_left_are_found(self, tmp_path: Path) -> None:
        place = Workplace(tmp_path)
        place.build.mkdir()
        for name in ("a.json", "b.json"):
            write_bytes(place.build / name, b"{}")
        before = place.files()
        both = ("build/a.json", "build/b.json")
        place.check(before, both)
        write_bytes(place.build / "a.json", b"[]")
        with pytest.raises(Broken, match="some is new and some is old"):
            place.check(before, both)
        (place.build / "a.json").write_text("[")
        with pytest.raises(Broken, match="half-written"):
            place.check(before, ())
        (place.build / "b.json").unlink()
        with pytest.raises(Broken, match=r"b\.json.* lost"):
            place.check(before, ())
        (place.build / ".a.abcdefgh.tmp.json").touch()
        with pytest.raises(Broken, match="are left"):
            place.check_tidy()

    def test_an_orphan_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.robustness.torture.workplace.PATIENCE_S", 1)
        place = Workplace(tmp_path)
        with place.start(["-c", "print('in', flush=True); import time; time.sleep(600)"]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            with pytest.raises(Broken, match=f"{process.pid}"):
                place.check_no_orphan()
            process.kill()
        place.check_no_orphan()

    def test_a_broken_promise_is_counted_as_lost_and_named(self) -> None:
        def broken() -> None:
            raise Broken("half a file")

        count = counted("Faults", "kill", [broken, lambda: None, broken])
        assert (count.tried, count.survived, count.lost) == (3, 1, 2)
        assert count.note == "LOST: half a file"
