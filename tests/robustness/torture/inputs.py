"""Every command with every bad input that fits it. Pairs of input and command are counted, by kind."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import click

from device.errors import EdgeproofError
from tests.robustness.corpus import documents
from tests.robustness.corpus.defect import Bad, write
from tests.robustness.corpus.documents import BASELINE
from tests.robustness.corpus.folders import folders
from tests.robustness.corpus.models import GOOD
from tests.robustness.corpus.onnx_models import onnx_bytes, onnx_models
from tests.robustness.corpus.pictures import pictures
from tests.robustness.corpus.tflite_models import tflite_models
from tests.robustness.torture.counts import Count
from tests.robustness.torture.jail import CPU_LIMIT_S, Case, Jail
from tests.robustness.torture.judge import content, judge

PART = "inputs"
SHORT_EVERY = 60  # of many inputs of one kind the short form takes one in so many
SHORT_OTHERS = 3  # of those the commands after the first take one in so many
SLOW, SHORT_SLOW = 20, 5  # of a command that takes one in so many in the full form, the short one takes so many in all
FEW = 48  # inputs of a kind: so many are tried all
OWN_BUDGETS = Path(documents.__file__).with_name("budgets.toml")  # of what the baseline holds
PICTURE = GOOD.parent / "pictures"
ANSWERS = "PASS|FAIL|INCONCLUSIVE"
NO_RUNTIME = "none of the runtimes"  # the input was taken
RANGE = ("--input-range", "0..1")  # of a model without a card
NOTHING_TO_RUN = ("run", str(GOOD), "--runtime", "onnxruntime")  # which opens no .tflite


Arguments = Callable[[Path], tuple[str, ...]]  # from the input's path


@dataclass(frozen=True)
class Trial:
    """One way to use an input: a command and its arguments."""

    what: str  # of the table
    command: str
    argv: Arguments
    every: int = 1  # of many inputs of a kind take one in so many
    writes: bool = False  # its results take in what failed, with the reason
    limit_s: int = CPU_LIMIT_S  # of processor time; a sweep's own process imports TensorFlow again
    answer: str = ""  # a pattern: of what it prints where its answer is no


@dataclass(frozen=True)
class Lost:
    """An input that was not survived."""

    what: str
    bad: Bad
    why: str


class Workspace:
    """The folder that commands run in, whose build/ they may not harm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = write(folder / "labels.txt", "".join(f"{digit}\n" for digit in range(10)).encode())
        self.picture = min(path for path in PICTURE.rglob("*") if path.is_file())
        self.build = folder / "build"
        write(self.build / "precious.txt", b"an earlier result")
        self.build.chmod(0o777)  # for nobody


Trials = Callable[[Workspace], list[Trial]]


def models(work: Workspace) -> list[Trial]:
    """Return the trials of a model file."""
    labels, picture = str(work.labels), str(work.picture)
    return [
        Trial("`classify.py MODEL PICTURE`", "classify", lambda path: (str(path), picture, "--labels", labels)),
        Trial("`classify.py --self-test`", "classify", lambda path: (str(path), "--self-test"), every=2),
        Trial("`classify.py --info`", "classify", lambda path: (str(path), "--info", "--labels", labels), every=4),
        Trial("`convert show`", "convert", lambda path: ("show", str(path)), every=3),
        Trial(
            "`convert check`",
            "convert",
            lambda path: ("check", str(path), "--target", "pi4_bookworm"),
            answer="does not run",
        ),
    ]


def tflite(work: Workspace) -> list[Trial]:
    """Return the trials of a `.tflite`: the same, and classifying in the older runtime."""
    old = ("--runtime", "tflite_runtime", "--labels", str(work.labels))
    others = [
        Trial("`classify.py` in tflite-runtime", "classify", lambda path: (str(path), str(work.picture), *old)),
        Trial("`bench faster`", "bench", lambda path: ("faster", str(path), str(GOOD), "--rounds", "2"), every=SLOW),
    ]
    return [*models(work), *others]


def run(short: bool) -> list[Count]:
    """Try every input with every command, and report each lost input."""
    counts, lost = tried(short)
    for one in lost:
        click.echo(f"LOST: {one.what} on {one.bad.path.name}: {one.why}")
    return counts


def tried(short: bool, jobs: Iterable[str] = ()) -> tuple[list[Count], list[Lost]]:
    """Try the named jobs, or all, as many at a time as there are processors."""
    chosen = tuple(jobs) or tuple(JOBS)
    with tempfile.TemporaryDirectory(prefix="edgeproof-bad-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # for nobody
        jails: SimpleQueue[Jail] = SimpleQueue()
        for _ in range(min(os.cpu_count() or 1, len(chosen))):
            jails.put(stack.enter_context(Jail()))
        with ThreadPoolExecutor(jails.qsize()) as pool:
            found = list(pool.map(lambda job: _job(job, folder / job, jails, short), chosen))
    return [count for counts, _ in found for count in counts], [one for _, lost in found for one in lost]


def _job(job: str, folder: Path, jails: SimpleQueue[Jail], short: bool) -> tuple[list[Count], list[Lost]]:
    make, trials = JOBS[job]
    folder.mkdir()
    work = Workspace(folder / "work")
    inputs = list(make(folder / "bad"))
    counts: list[Count] = []
    lost: list[Lost] = []
    jail = jails.get()
    for number, trial in enumerate(trials(work)):
        taken = list(sample(inputs, max(trial.every, SHORT_EVERY if short else 1)))
        if short and number:  # the first command has tried one of each kind, by the same reading of the file
            taken = taken[::SHORT_OTHERS]
        if short and trial.every >= SLOW:
            taken = taken[:: max(1, len(taken) // SHORT_SLOW)]
        found = list(failures(jail, work, trial, taken))
        lost += found
        note = "" if number else kinds(taken)  # the commands after the first take some of the same
        counts.append(Count(PART, f"{job}: {trial.what}", len(taken), len(taken) - len(found), len(found), note))
    jails.put(jail)
    shutil.rmtree(folder, ignore_errors=True)
    return counts, lost


def kinds(inputs: list[Bad]) -> str:
    """Return how many there are of each kind: "zero bytes, truncated (32)"."""
    counted = Counter(bad.kind for bad in inputs)
    return ", ".join(kind if count == 1 else f"{kind} ({count})" for kind, count in counted.items())


def sample(inputs: list[Bad], every: int) -> Iterator[Bad]:
    """Yield the inputs; if there are many of a kind, only one in `every`."""
    for kind in dict.fromkeys(bad.kind for bad in inputs):
        same = [bad for bad in inputs if bad.kind == kind]
        yield from same[:: every if len(same) > FEW else 1]


def failures(jail: Jail, work: Workspace, trial: Trial, inputs: Iterable[Bad]) -> Iterator[Lost]:
    """Run one command on every input and yield what was lost."""
    before = content(work.folder)
    for bad in inputs:
        end = jail.run(Case(trial.command, trial.argv(bad.path), str(work.folder), bad.nobody, trial.limit_s))
        why = judge(bad, trial.what, trial.answer, end)
        after = content(work.folder)
        if after != before and end.code != 0 and not trial.writes:
            why = f"changed {min(set(after.items()) ^ set(before.items()))[0]}"
        before = after
        if why is not None:
            yield Lost(trial.what, bad, why)


def pictures_trials(_: Workspace) -> list[Trial]:
    """Return the trials of a picture."""
    model = str(GOOD)
    return [
        Trial("`classify.py MODEL PICTURE`", "classify", lambda path: (model, str(path))),
        Trial("`classify.py --json`", "classify", lambda path: (model, "--json", str(path))),
    ]


def folder_trials(_: Workspace) -> list[Trial]:
    """Return the trials of a folder of pictures."""
    model, sweep = str(GOOD), ("sweep", "mnist_cnn", "--set", "epochs=1", "--data")
    return [
        Trial("`train run --data`", "train", lambda path: ("run", "mnist_cnn", "--data", str(path))),
        Trial("`train sweep --data`", "train", lambda path: (*sweep, str(path)), writes=True, limit_s=30),
        Trial("`classify.py --score`", "classify", lambda path: (model, "--score", str(path))),
        Trial("`convert run --calibration`", "calibration", lambda path: (str(path),)),
    ]


def calibration(folder: Path) -> str:
    """Open a folder as `convert run --calibration` does, which imports TensorFlow before it."""
    from device.preprocessing.whole_picture import whole_picture_steps
    from train.data.calibration import calibration_reference, load_calibration, unusable_files

    dataset = load_calibration(calibration_reference(folder), tuple("0123456789"))
    if bad := unusable_files(dataset, whole_picture_steps(28, 28, 1)):
        raise EdgeproofError(f"{folder}: unusable pictures: {bad}")
    return f"{len(dataset.train)} pictures"


def results_trials(_: Workspace) -> list[Trial]:
    """Return the trials of a bench.json, or of the samples beside one."""
    good, budgets = str(BASELINE / "bench.json"), str(OWN_BUDGETS)

    def results(path: Path) -> str:
        return str(path.with_suffix(".json"))

    return [
        Trial("`bench report`", "bench", lambda path: ("report", results(path)), every=40),  # it draws for seconds
        Trial("`bench check`", "bench", lambda path: ("check", results(path), "--budgets", budgets), answer=ANSWERS),
        Trial("`bench compare`", "bench", lambda path: ("compare", good, results(path), "--json")),
        Trial(
            "`bench recommend`", "bench", lambda path: ("recommend", results(path), "--max-p50-ms", "1"), answer="budget|row"
        ),
        Trial("`bench run --output`", "bench", lambda path: (*NOTHING_TO_RUN, "--output", results(path)), answer=NO_RUNTIME),
    ]


def one(what: str, command: str, argv: Arguments, every: int = 1, answer: str = "") -> Trials:
    """Return the only trial of an input."""
    return lambda _: [Trial(what, command, argv, every, answer=answer)]


def preprocess_trials(work: Workspace) -> list[Trial]:
    """Return the trials of a file of preprocessing."""
    bare = str(write(work.folder / "bare.onnx", onnx_bytes()))
    data = str(PICTURE)
    options = ("--runtime", "tflite_runtime", "--labels", str(work.labels), "--data", data)  # which opens no .onnx
    return [
        Trial(
            "`bench run --preprocess`",
            "bench",
            lambda path: ("run", bare, *options, "--preprocess", str(path)),
            answer=f"{NO_RUNTIME}|give --input-range",  # the second where the file does not say the values
        )
    ]


def labels_trials(work: Workspace) -> list[Trial]:
    """Return the trials of a file of labels."""
    bare = str(write(work.folder / "bare.onnx", onnx_bytes()))
    picture = str(work.picture)
    return [Trial("`classify.py --labels`", "classify", lambda path: (bare, picture, *RANGE, "--labels", str(path)))]


def keras_of(card: Path) -> str:
    """Return the Keras model beside a card."""
    return str(card.with_name(card.name.replace(".card.json", ".keras")))


def results_of(history: Path) -> str:
    """Return the bench.json beside a history."""
    return str(history.with_name(history.stem.replace("history", "bench", 1) + ".json"))


def baseline_of(path: Path) -> str:
    """Return the baseline's folder that contains a file, at any depth."""
    return str(next(parent for parent in path.parents if parent.parent.name == "bad"))


JOBS: dict[str, tuple[Callable[[Path], Iterator[Bad]], Trials]] = {
    ".tflite": (tflite_models, tflite),
    ".onnx": (onnx_models, models),
    "pictures": (pictures, pictures_trials),
    "data folders": (folders, folder_trials),
    "bench.json": (documents.results, results_trials),
    "bench.json with an arena": (
        documents.micro_results,
        one(
            "`convert check --target pico`",
            "convert",
            lambda path: ("check", str(GOOD), "--target", "pico", "--results", str(path)),
            answer="pico  not known|pico  does not fit",
        ),
    ),
    "bench.npz": (documents.samples, results_trials),
    "history.jsonl": (
        documents.histories,
        one("`bench report`", "bench", lambda path: ("report", results_of(path)), every=20),
    ),
    "budgets.toml": (
        documents.budgets,
        one(
            "`bench check`",
            "bench",
            lambda path: ("check", str(BASELINE / "bench.json"), "--budgets", str(path)),
            answer=ANSWERS,
        ),
    ),
    "baseline": (
        documents.baselines,
        one(
            "`bench gate`",
            "bench",
            lambda path: (
                "gate",
                str(GOOD),
                "--baseline",
                baseline_of(path),
                "--max-time",
                "1",
                "--budgets",
                str(OWN_BUDGETS),
            ),
            answer=ANSWERS,
        ),
    ),
    "device.toml": (documents.devices, one("`bench run --device`", "device", lambda path: (str(path),))),
    "board.toml": (documents.boards, one("`convert check --target`", "board", lambda path: (str(path),))),
    "target.toml": (documents.targets, one("`convert check`", "target", lambda path: (str(path),))),
    "preprocess.json": (documents.preprocesses, preprocess_trials),
    "card.json": (
        documents.common_cards,
        one(
            "`bench run`",
            "bench",
            lambda path: ("run", keras_of(path), "--runtime", "litert"),
            answer=f"{NO_RUNTIME}|has no missing.card.json beside it",  # without a card it is a model from elsewhere
        ),
    ),
    "labels.txt": (documents.labels, labels_trials),
}
