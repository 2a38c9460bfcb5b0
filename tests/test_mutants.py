"""The tool of `make mutants`: which changes it makes, which tests it runs, and what it calls killed."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tools.mutants.mutations import Mutation, mutations_of
from tests.tools.mutants.own_tests import imported_by, tests_of as own_tests_of
from tests.tools.mutants.trial import Trial, passes, run_all

FILE = Path("device/x.py")


def changes(source: str) -> set[str]:
    data = source.encode()
    return {mutation.applied(data).decode() for mutation in mutations_of(FILE, data)}


class TestMutations:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("a < b", {"(a <= b)", "(a >= b)"}),
            ("a == b", {"(a != b)"}),
            ("a is not b", {"(a is b)"}),
            ("a < b < c", {"(a <= b < c)", "(a >= b < c)", "(a < b <= c)", "(a < b >= c)"}),
            ("a - b", {"(a + b)"}),
            ("a * b / c", {"(a / b) / c", "(a * b * c)"}),
            ("a and b", {"(a or b)"}),
            ("not a", {"a"}),
            ("-a", {"a"}),
            ("7", {"(8)", "(6)"}),
            ("0.5", {"(1.0)", "(0.25)"}),
            ("0.0", {"(1.0)"}),
            ("True", {"(False)"}),
            ("None", set()),
            ("'text'", set()),
            ("f'{a + 1}'", set()),
            ("a if b else c", {"(c if b else a)"}),
            ("a = min(a, b)", {"a = max(a, b)"}),
            ("a = np.minimum(a, b)", {"a = np.maximum(a, b)"}),
            ("a[b:]", {"a[(b + 1):]"}),
            ("[a for a in b if a]", {"[a for a in b if (not a)]"}),
            ("if a: b", {"if (not a): b"}),
            ("a += b", {"a -= b"}),
            ("call(a)", {"pass"}),
            ("raise a", {"pass"}),
            ("while a < b: break", {"while (a <= b): break", "while (a >= b): break", "while a < b: continue"}),
            (
                "def f(a: int = 3) -> int | str: return a",
                {"def f(a: int = (4)) -> int | str: return a"}
                | {"def f(a: int = (2)) -> int | str: return a", "def f(a: int = 3) -> int | str: return None"},
            ),
            ("@cache(size=3)\ndef f(): pass", set()),
        ],
    )
    def test_each_is_one_place(self, source: str, expected: set[str]) -> None:
        assert changes(source) == expected

    @pytest.mark.slow
    def test_every_one_of_a_file_compiles_and_is_another_program(self) -> None:
        data = (ROOT / "device" / "pictures" / "digit_frame.py").read_bytes()
        whole = ast.dump(ast.parse(data))
        found = mutations_of(FILE, data)
        assert len(found) > 500
        assert len({mutation.applied(data) for mutation in found}) == len(found)
        assert [m for m in found if ast.dump(ast.parse(m.applied(data))) == whole] == []

    def test_is_shown_as_the_lines_before_and_after(self) -> None:
        data = "é = 1\nü = é + 2\n".encode()
        shown = [mutation.diff(data) for mutation in mutations_of(FILE, data)]
        assert "device/x.py:2\n-ü = é + 2\n+ü = (é - 2)" in shown


class TestOwnTests:
    def test_are_the_module_at_the_same_place_or_those_that_import_it(self, tmp_path: Path) -> None:
        for name, text in (
            ("bench/stats/test_a.py", "from bench.stats import a, b"),
            ("bench/test_c.py", "from bench.stats.b import f"),
            ("support/test_d.py", "import bench.stats.b"),
        ):
            (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tests" / name).write_text(text)
        assert own_tests_of(Path("bench/stats/a.py"), tmp_path) == [Path("tests/bench/stats/test_a.py")]
        both = [Path("tests/bench/stats/test_a.py"), Path("tests/bench/test_c.py")]
        assert own_tests_of(Path("bench/stats/b.py"), tmp_path) == both
        assert own_tests_of(Path("bench/stats/c.py"), tmp_path) == []

    def test_know_each_way_to_import(self, tmp_path: Path) -> None:
        path = tmp_path / "test_a.py"
        path.write_text("import a.b\nfrom c.d import e\ndef f():\n    from g import h as i\n")
        assert imported_by(path) == {"a.b", "c.d", "c.d.e", "g", "g.h"}

    def test_of_every_file_that_decides_are_there(self) -> None:
        from tests.tools.mutants.__main__ import DECIDING, files_of

        files = [file for name in DECIDING for file in files_of(name) if mutations_of(file, (ROOT / file).read_bytes())]
        assert [str(file) for file in files if not own_tests_of(file, ROOT)] == []


class TestTrial:
    TESTS = (
        "import time\nfrom device.x import double\n\n\ndef test_a():\n    assert double(2) == 4\n\n\n"
        "def test_b():\n    assert double(0.5) == 1\n"
    )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("old", "new", "killed"),
        [(b"2 * a", b"a + a", False), (b"2 * a", b"2 + a", True), (b"2 * a", b"[time.sleep(60)]", True)],
    )
    def test_a_failing_test_or_a_hang_kills_and_the_copy_is_as_before(
        self, tmp_path: Path, old: bytes, new: bytes, killed: bool
    ) -> None:
        for name, text in (
            ("device/x.py", "import time\n\n\ndef double(a):\n    return 2 * a\n"),
            ("tests/device/test_x.py", self.TESTS),
            ("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: not here']\n"),
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        data = (tmp_path / FILE).read_bytes()
        start = data.index(old)
        mutation = Mutation(FILE, 5, start, start + len(old), new.decode())
        tests, seconds = [Path("tests/device/test_x.py")], tmp_path / "seconds.json"
        (whole,) = run_all([Trial(tmp_path, tests, 60, seconds)], [tmp_path])
        assert passes(whole.code), whole.output
        (changed,) = run_all([Trial(tmp_path, tests, 10, seconds, mutation)], [tmp_path])
        assert passes(changed.code) is not killed
        assert (tmp_path / FILE).read_bytes() == data
