"""The child process: what it returns, what it raises, and that a crash stops only one task."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from convert.child import Child, Crashed, Unexpected, Workplace
from device.errors import CardError, CheckFailed


def answer(workplace: Workplace, question: str) -> str:
    workplace.say(f"asked {question}")
    workplace.kept["asked"] = workplace.kept.get("asked", 0) + 1
    return f"{question}! ({workplace.kept['asked']})"


def refuse(_workplace: Workplace) -> None:
    raise CardError("no such card: make one")


def refuse_for_a_reason(_workplace: Workplace) -> None:
    from tblib import pickling_support

    pickling_support.install()  # as TensorFlow does
    try:
        raise KeyError("cards")
    except KeyError as error:
        raise CardError("no such card: make one") from error


def lose_its_own_connection(_workplace: Workplace) -> None:
    raise ConnectionResetError("the download was cut off")


def stumble(_workplace: Workplace) -> None:
    os.write(1, b"a hundred lines of a log")
    raise ValueError("'tf.Fold' op is neither a custom op nor a flex op\nand much more")


def crash(_workplace: Workplace, number: int) -> None:
    os.kill(os.getpid(), number)


def leave_open(workplace: Workplace, path: Path) -> None:
    workplace.exit.callback(path.unlink)


def forget_a_file(_workplace: Workplace) -> str:
    return tempfile.mkstemp()[1]


@pytest.fixture
def child() -> Child:
    return Child(print)


class TestChild:
    def test_gives_back_the_result_says_what_it_says_and_keeps_what_is_open(self) -> None:
        said: list[str] = []
        with Child(said.append) as child:
            assert child.run(answer, "well") == "well! (1)"
            assert child.run(answer, "well") == "well! (2)"
        assert said == ["asked well"] * 2

    def test_leaves_no_temporary_file_behind(self, child: Child) -> None:
        with child:
            forgotten = Path(child.run(forget_a_file))
            assert forgotten.exists()
        assert not forgotten.exists()

    def test_raises_our_errors_as_they_are_and_goes_on(self, child: Child) -> None:
        with child:
            with pytest.raises(CardError, match="no such card: make one"):
                child.run(refuse)
            assert child.run(answer, "well") == "well! (1)"

    def test_what_caused_an_error_stays_in_the_child(self, child: Child) -> None:
        with child, pytest.raises(CardError, match="no such card: make one") as raised:
            child.run(refuse_for_a_reason)
        assert (raised.value.__cause__, raised.value.__context__) == (None, None)

    def test_an_error_of_a_connection_that_the_task_made_is_not_taken_for_the_end_of_the_child(self, child: Child) -> None:
        with child:
            with pytest.raises(ConnectionResetError, match="the download was cut off"):
                child.run(lose_its_own_connection)
            assert child.run(answer, "well") == "well! (1)"

    def test_any_other_error_is_one_line_with_the_place_of_the_log(
        self, child: Child, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with child, pytest.raises(Unexpected) as error:
            child.run(stumble)
        text = str(error.value)
        assert text.startswith("TFLite has no operation for tf.Fold: build the model without (what the libraries said: ")
        log = Path(text.rpartition(": ")[2].rstrip(")"))
        assert "a hundred lines" in log.read_text()
        assert "Traceback" in log.read_text()
        assert capfd.readouterr().err == ""
        log.unlink()

    @pytest.mark.parametrize(("number", "told"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "memory")])
    def test_a_crash_is_told_and_the_next_task_finds_a_new_child(self, child: Child, number: int, told: str) -> None:
        with child:
            child.run(answer, "well")
            with pytest.raises(Crashed, match=told) as error:
                child.run(crash, number)
            assert isinstance(error.value, CheckFailed)
            assert child.run(answer, "well") == "well! (1)"

    def test_what_is_left_open_is_closed_at_the_end_and_no_log_stays(self, child: Child, tmp_path: Path) -> None:
        (tmp_path / "open").touch()
        with child:
            child.run(leave_open, tmp_path / "open")
        assert not list(tmp_path.iterdir())
        assert not child._log.exists()
