"""The command `classify.py MODEL IMAGE...`, as on a device."""

import ast
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from convert.formats.card_writer import embed
from device.command_line import MAX_THREADS, build_parser, main
from device.commands import answer_document, answer_text
from device.formats.model_file import read_card, split_card
from device.inference import Answer, top_k
from device.scoring import wilson_interval
from tests.conftest import ROOT, TFLITE, Tiny, classify, run

PACKAGE = ROOT / "device"
READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"


def test_prints_top_classes_and_latency_of_each_picture(tiny: Tiny, digit_png: Path) -> None:
    result = classify(tiny.artifact("int8.tflite"), digit_png, cwd=tiny.workspace)
    assert result.code == 0
    assert result.stdout.count("%") == 3
    assert "invoke" in result.stdout


@pytest.mark.parametrize("key", ["float32.tflite", "float16.tflite", "dynamic_int8.tflite", "int8.tflite", "int8.onnx"])
def test_json_is_one_line_a_picture_whose_latencies_add_up(tiny: Tiny, digit_png: Path, key: str) -> None:
    result = classify(tiny.artifact(key), "--json", "--top", "10", digit_png, digit_png, cwd=tiny.workspace)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 0
    assert [line["file"] for line in lines] == [str(digit_png)] * 2
    for line in lines:
        assert {entry["label"] for entry in line["top"]} == set("0123456789")
        assert [entry["label"] for entry in line["top"]] == [str(entry["index"]) for entry in line["top"]]
        latency = line["latency_ms"]
        parts = sum(latency[name] for name in ("decode", "prepare", "invoke", "postprocess"))
        assert latency["total"] == pytest.approx(parts)


@pytest.mark.parametrize("runtime", TFLITE)
def test_needs_nothing_but_its_folder_and_one_model(tiny: Tiny, digit_png: Path, tmp_path: Path, runtime: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "whatever its name")
    shutil.copy(tiny.artifact("int8.tflite"), tmp_path / "model.tflite")
    arguments = ["-I", "whatever its name/classify.py", "model.tflite", str(digit_png), "--runtime", runtime]
    result = run(arguments, tmp_path)  # -I: no PYTHONPATH
    assert result.code == 0, result.stderr


def test_what_lies_beside_the_folder_or_in_it_shadows_nothing(tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "device")
    for name in ("json.py", "numpy.py", "device.py"):
        (tmp_path / name).write_text("raise SystemExit('somebody else')")
    (tmp_path / "device" / "numpy.py").write_text("raise SystemExit('somebody else')")
    result = run([tmp_path / "device" / "classify.py", tiny.artifact("int8.tflite"), digit_png], tmp_path, PYTHONPATH="")
    assert result.code == 0, result.stderr


def test_copied_quite_alone_it_says_what_to_copy(tmp_path: Path) -> None:
    shutil.copy(PACKAGE / "classify.py", tmp_path)
    result = run([tmp_path / "classify.py", "model.tflite", "picture.png"], tmp_path, PYTHONPATH="")
    assert result.code == 2
    assert result.error_line.endswith("copy the whole folder device/, or take the one file classify.pyz")


@pytest.mark.parametrize("missing", ["card.py", "pictures/digit_frame.py", "command_line.py"])
def test_a_module_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "device", ignore=shutil.ignore_patterns("__pycache__", Path(missing).name))
    result = run([tmp_path / "device" / "classify.py", "model.tflite", "picture.png"], tmp_path, PYTHONPATH="")
    assert result.code == 2
    assert f"device/{missing} is missing" in result.error_line
    assert "copy the whole folder" in result.error_line


def test_a_missing_package_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    result = run([PACKAGE / "classify.py", "model.tflite", "picture.png"], tmp_path, PYTHONPATH=str(tmp_path))
    assert result.code == 2
    assert result.error_line == "classify.py: No module named 'numpy': pip install numpy pillow"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_is_written_for_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_one_bad_picture_is_code_1_and_the_others_are_classified(tiny: Tiny, digit_png: Path) -> None:
    model = tiny.artifact("int8.tflite")
    result = classify(model, "--json", digit_png, "missing.png", ROOT / "README.md", digit_png, cwd=tiny.workspace)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 1
    assert ["error" in line for line in lines] == [False, True, True, False]
    assert "no such file" in lines[1]["error"]
    assert "not a picture" in lines[2]["error"]


@pytest.mark.parametrize("arguments", [[], ["--top", "0"], ["--threads", "none"], ["--no-such-option"]])
def test_wrong_usage_is_code_2(tiny: Tiny, digit_png: Path, arguments: list[str]) -> None:
    pictures = [digit_png] if arguments else []
    assert classify(tiny.artifact("int8.tflite"), *pictures, *arguments, cwd=tiny.workspace).code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--self-test", "p.png"], "--self-test takes no IMAGE"),
        (["--info", "p.png"], "--info takes no IMAGE"),
        (["p.png", "--camera"], "--camera takes no IMAGE"),
        (["p.png", "--score", "--bench"], "--bench and --score are different commands: give one of them"),
        (["--info", "--self-test"], "--self-test and --info are different commands"),
        (["--frames", "3", "p.png"], "--frames needs --camera"),
        (["p.png", "--listen"], "--listen needs --serve"),
        (["--score"], "name at least one IMAGE"),
        (["p.png", "--threads", str(MAX_THREADS + 1)], f"expected a whole number, 1 to {MAX_THREADS}"),
        (["p.png", "--top.jpg"], "--top.jpg: a name that begins with -: ./NAME"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_wrong_usage_and_says_what_to_do(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(READY), *words])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_the_most_threads_fit_the_memory(digit_png: Path, tmp_path: Path) -> None:
    assert classify(READY, digit_png, "--threads", "64", cwd=tmp_path).code == 0


def test_after_two_dashes_each_word_is_a_name(digit_png: Path, tmp_path: Path) -> None:
    names = ["--top.jpg", "--", "-x"]
    for name in names:
        shutil.copy(digit_png, tmp_path / name)
    shutil.copy(READY, tmp_path / "--m.tflite")
    for words in (["--", "--m.tflite", *names], [str(READY), "--", *names], ["--top", "1", "--", str(READY), *names]):
        result = classify("--json", *words, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == names


NO_NUMBERS = ("nan", "inf", "-inf", "1e999", "-1", "9" * 30, "9" * 5_000, "", "ten")
NUMERIC = ("camera", "frames", "queries", "seconds", "top", "threads", "min_score", "max_memory_mb", "serve")


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: text[:10])
@pytest.mark.parametrize("option", NUMERIC)
def test_what_no_option_can_count_is_wrong_usage_and_one_line(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No option takes NaN, an infinite or negative number, or one that overflows in the system or in a library."""
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_intermixed_args(["model.tflite", f"{flag}={text}"])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {flag}: " in line
    assert len(line) < 200


def test_every_option_that_takes_a_number_is_among_those_tested() -> None:
    words = {"model", "images", "runtime", "labels", "input_range", "fit", "listen"}
    taking = {action.dest for action in build_parser()._actions if action.nargs != 0}
    assert taking - words == set(NUMERIC)


@pytest.mark.parametrize("words", [["", "p.png"], ["m.tflite", ""], ["m.tflite", "p.png", "--labels", ""]])
def test_an_empty_name_is_no_folder_but_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_intermixed_args(words)
    assert ended.value.code == 2
    assert '"": no such file: name one' in capsys.readouterr().err.splitlines()[-1]


def test_a_name_that_no_file_can_have_is_code_1_and_the_others_are_classified(digit_png: Path, tmp_path: Path) -> None:
    result = classify(READY, "--json", "x" * 300, "y" * 300 + "*.png", digit_png, cwd=tmp_path)
    assert (result.code, result.stderr) == (1, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("error") for line in lines] == ["cannot be read: File name too long"] * 2 + [None]


def test_the_largest_memory_limit_is_no_error(digit_png: Path, tmp_path: Path) -> None:
    result = classify(READY, digit_png, "--max-memory-mb", "1000000000", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")


def test_a_truncated_model_is_one_line_and_code_2(tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(tiny.artifact("int8.tflite").read_bytes()[:50_000])
    result = classify(cut, digit_png, cwd=tmp_path)
    assert result.code == 2
    assert "cut.tflite" in result.error_line


class TestScore:
    def test_prints_accuracy_interval_and_confusion_table_of_labelled_pictures(self, tiny: Tiny) -> None:
        result = classify(tiny.artifact("int8.tflite"), "--score", tiny.data / "test", cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        lines = result.stdout.splitlines()
        assert len(lines) == 12
        assert lines[0].split()[-2:] == ["unsure", "failed"]
        assert "of 80 right" in lines[-1]
        assert "95 % interval" in lines[-1]

    def test_counts_what_it_prints(self, tiny: Tiny) -> None:
        options = ["--score", "--json", "--min-score", "0.9"]
        result = classify(tiny.artifact("float32.tflite"), tiny.data / "test", *options, cwd=tiny.workspace)
        counts = json.loads(result.stdout)
        assert counts["total"] == 80
        assert 0 < counts["unsure"] < 80
        assert counts["correct"] + counts["unsure"] <= 80
        low, high = counts["ci95"]
        assert low <= counts["correct"] / 80 <= high

    def test_a_picture_that_cannot_be_read_is_counted_and_code_1(self, tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
        (tmp_path / "p" / "7").mkdir(parents=True)
        shutil.copy(digit_png, tmp_path / "p" / "7")
        (tmp_path / "p" / "7" / "broken.png").write_text("no picture")
        result = classify(tiny.artifact("int8.tflite"), "p", "--score", "--json", cwd=tmp_path)
        assert result.code == 1
        assert json.loads(result.stdout)["failed"] == 1
        assert "broken.png" in result.stderr

    @pytest.mark.parametrize(
        ("folder", "found"), [("nowhere", "no such folder"), ("empty", "no pictures"), ("cats", "none of the labels")]
    )
    def test_a_folder_that_does_not_fit_is_one_line(self, tiny: Tiny, tmp_path: Path, folder: str, found: str) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "cats" / "cat").mkdir(parents=True)
        result = classify(tiny.artifact("int8.tflite"), folder, "--score", cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line


class TestThresholdOfTheCard:
    @pytest.fixture
    def strict(self, tiny: Tiny, tmp_path: Path) -> Path:
        """Return a model whose card finds every answer unsure."""
        path = tmp_path / "strict.tflite"
        source = tiny.artifact("float32.tflite")
        own, _ = split_card(source, source.read_bytes())
        card = read_card(source)
        assert card is not None
        path.write_bytes(own)
        embed(path, {**card.document, "min_score": 1.0})
        return path

    def test_makes_an_answer_unsure_unless_another_is_told(self, strict: Path, digit_png: Path) -> None:
        by_card, told = (
            json.loads(classify(strict, digit_png, "--json", *options, cwd=strict.parent).stdout)
            for options in ((), ("--min-score", "0"))
        )
        assert by_card["unsure"] is True
        assert "unsure" not in told
        assert by_card["top"] == told["top"]

    def test_does_not_count_in_an_accuracy_or_a_self_test(self, tiny: Tiny, strict: Path) -> None:
        counts = json.loads(classify(strict, "--score", "--json", tiny.data / "test", cwd=strict.parent).stdout)
        assert counts["unsure"] == 0
        assert counts["correct"] > 0
        assert classify(strict, "--self-test", cwd=strict.parent).code == 0

    def test_is_shown(self, strict: Path) -> None:
        assert json.loads(classify(strict, "--info", "--json", cwd=strict.parent).stdout)["min_score"] == 1.0


def test_below_the_least_score_the_answer_is_unsure(tiny: Tiny, digit_png: Path) -> None:
    model = tiny.artifact("float32.tflite")
    sure, unsure = (
        json.loads(classify(model, digit_png, "--json", "--min-score", least, cwd=tiny.workspace).stdout)
        for least in ("0", "1")
    )
    assert "unsure" not in sure
    assert unsure["unsure"] is True
    assert unsure["top"] == sure["top"]
    assert ": unsure: " in classify(model, digit_png, "--min-score", "1", cwd=tiny.workspace).stdout


def test_a_score_is_compared_as_it_is_printed(digit_png: Path, tmp_path: Path) -> None:
    """The float32 nearest to 0.9 is below 0.9, and printed as 0.9."""
    answer = Answer(np.array([0.1, 0.9], np.float32), np.zeros((1, 1, 1), np.uint8), 0, 0, 0, 0)
    assert "unsure" not in answer_document("p.png", answer, ("a", "b"), 1, 0.9)
    assert "unsure" in answer_document("p.png", answer, ("a", "b"), 1, 0.900001)
    assert ": unsure: " not in answer_text("p.png", answer, ("a", "b"), 1, 0.9)
    printed = json.loads(classify(READY, digit_png, "--json", cwd=tmp_path).stdout)["top"][0]["score"]
    again = classify(READY, digit_png, "--json", "--min-score", str(printed), cwd=tmp_path)
    assert "unsure" not in json.loads(again.stdout)


class TestLabelsBesideACard:
    def test_the_same_are_taken(self, digit_png: Path, tmp_path: Path) -> None:
        (tmp_path / "same.txt").write_text("\n".join("0123456789"))
        assert classify(READY, digit_png, "--labels", "same.txt", cwd=tmp_path).code == 0

    @pytest.mark.parametrize("words", [["--self-test"], ["--info"], []], ids=str)
    def test_others_are_refused_by_each_command(self, digit_png: Path, tmp_path: Path, words: list[str | Path]) -> None:
        (tmp_path / "other.txt").write_text("\n".join("9876543210"))
        done = classify(READY, *(words or [digit_png]), "--labels", "other.txt", cwd=tmp_path)
        assert done.code == 2
        assert "has a card, which says other labels than --labels other.txt: leave it out" in done.error_line

    def test_a_file_that_is_not_there_is_said(self, digit_png: Path, tmp_path: Path) -> None:
        done = classify(READY, digit_png, "--labels", "none.txt", cwd=tmp_path)
        assert (done.code, "none.txt: cannot be read: No such file" in done.error_line) == (2, True)


def test_a_models_ending_may_be_in_capitals(digit_png: Path, tmp_path: Path) -> None:
    shutil.copy(READY, tmp_path / "A.TFLITE")
    capital, small = (classify(model, digit_png, "--json", cwd=tmp_path) for model in (tmp_path / "A.TFLITE", READY))
    assert json.loads(capital.stdout)["top"] == json.loads(small.stdout)["top"]
    bare = without_card(READY, tmp_path / "BARE.TFLITE")
    assert "has no card" in classify(bare, digit_png, cwd=tmp_path).error_line


def without_card(model: Path, path: Path) -> Path:
    with zipfile.ZipFile(model) as archive:
        own = min(member.header_offset for member in archive.infolist())
    path.write_bytes(model.read_bytes()[:own])
    return path


def test_a_model_without_a_card_is_refused_with_the_way_out(tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
    bare = without_card(tiny.artifact("int8.tflite"), tmp_path / "bare.tflite")
    result = classify(bare, digit_png, cwd=tmp_path)
    assert result.code == 2
    assert "no card" in result.error_line
    assert "--labels" in result.error_line


@pytest.mark.parametrize("key", ["int8.tflite", "float32.tflite"])
def test_labels_make_up_for_a_missing_card(tiny: Tiny, digit_png: Path, tmp_path: Path, key: str) -> None:
    bare = without_card(tiny.artifact(key), tmp_path / "bare.tflite")
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("0123456789"))
    with_card = classify(tiny.artifact(key), digit_png, "--json", cwd=tmp_path)
    result = classify(bare, digit_png, "--json", "--labels", labels, cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["top"] == json.loads(with_card.stdout)["top"]


@pytest.mark.parametrize(("text", "found"), [("a\nb", "2 labels"), ("", "no labels")])
def test_labels_that_do_not_fit_are_refused(tiny: Tiny, digit_png: Path, tmp_path: Path, text: str, found: str) -> None:
    bare = without_card(tiny.artifact("int8.tflite"), tmp_path / "bare.tflite")
    (tmp_path / "labels.txt").write_text(text)
    result = classify(bare, digit_png, "--labels", "labels.txt", cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line


def test_a_card_of_another_model_is_refused(tiny: Tiny, digit_png: Path, tmp_path: Path) -> None:
    own = without_card(tiny.artifact("float32.tflite"), tmp_path / "own.tflite").read_bytes()
    other = tiny.artifact("int8.tflite").read_bytes()
    bare = without_card(tiny.artifact("int8.tflite"), tmp_path / "int8.tflite").read_bytes()
    swapped = tmp_path / "swapped.tflite"
    swapped.write_bytes(own + other[len(bare) :])
    result = classify(swapped, digit_png, cwd=tmp_path)
    assert result.code == 2
    assert "model_sha256" in result.error_line


class TestAnswers:
    def test_ties_go_to_the_lowest_index(self) -> None:
        assert top_k(np.array([0.1, 0.4, 0.4, 0.1], np.float32), 3) == [1, 2, 0]

    def test_wilson_interval_of_the_tutorials_figure(self) -> None:
        low, high = wilson_interval(9868, 10_000)
        assert (round(low, 4), round(high, 4)) == (0.9844, 0.9889)  # facts.md
        assert [round(x, 2) for x in wilson_interval(17, 20)] == [0.64, 0.95]

    def test_wilson_interval_stays_within_0_and_1(self) -> None:
        assert wilson_interval(0, 5)[0] == 0
        assert wilson_interval(5, 5)[1] == 1
        assert wilson_interval(0, 0) == (0, 1)
