"""Faults: kills, full disks, folders that can only be read, clocks that jump, Ctrl-C, two at a time, crashing runtimes."""

import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.remote.loopback_sshd import find_sshd, loopback_server
from bench.results.store import load_results
from device.errors import EdgeproofError
from tests.conftest import ROOT
from tests.robustness.torture.counts import Count
from tests.robustness.torture.workplace import PATIENCE_S, Task, Workplace, counted, require
from tests.support.devices import device_file
from tests.support.models.model_files import model as planted_model

PART = "Faults"
SEED = 8
MOMENTS_A_COMMAND = 10  # of five commands: 50
MODEL = "mnist_cnn"
FOLDER = f"build/{MODEL}@tiny"
READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"
VARIANTS = "float32.tflite,float16.tflite,float32.onnx"  # an int8 of a hardly trained model may break its promise
BUDGETS = '[[budget]]\nruntime = "litert"\nmax_size_kb = 100000\n'
TRAINED = ("summary.txt", "history.json", "history.png", "layers.png", f"{MODEL}.card.json", f"{MODEL}.keras")
RESULTS = ("build/bench.json", "build/bench.npz")
QUICK = ("--seconds", "0.02")
TRAIN = ("-m", "train", "run", MODEL, "--data", "digits", "--recipe", "tutorial", "--name", "tiny")
PLANTED = ("--runtime", "tflite_runtime", "--output", "build/bench.json", *QUICK)
INTO = ("--data", "digits/test", "--output", "build/bench.json")
BENCH = ("-m", "bench", "run", str(READY), "--runtime", "litert", *INTO, *QUICK)


def run(short: bool) -> list[Count]:
    """Inject all faults, in the short form a few of each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeproof-torture-")))
        place = Workplace(folder / "kills")
        place.write_digits()
        counts = [
            *kills(place, short, stack),
            disk_full(folder / "full", short),
            writes_refused(Workplace(folder / "refused"), short),
            interrupted_once(place, Workplace(folder / "once"), short),
            two_at_a_time(place, short),
            crashing_runtime(Workplace(folder / "crash")),
        ]
        if not short:  # tests/robustness/test_faults.py has the essence of these
            counts += [read_only(folder / "read-only", place), clock_jumps(place), interrupted_twice(place)]
        return counts


# ---- kill -9 --------------------------------------------------------------------------------------------------------


def kills(place: Workplace, short: bool, stack: ExitStack) -> list[Count]:
    """Kill each command at seeded moments: half of them at a write, half at any time."""
    (place.folder / "budgets.toml").write_text(BUDGETS)
    check = ("-m", "bench", "check", "--measure", "--max-time", "0", "--budgets", "budgets.toml")
    tasks = [
        Task("train", TRAIN, tuple(f"{FOLDER}/{name}" for name in TRAINED), ("--resume",)),
        Task("convert", ("-m", "convert", "run", f"{MODEL}@tiny", "--variants", VARIANTS), ()),
        Task("check", check, RESULTS),
        Task("bench", BENCH, RESULTS),
    ]
    tasks = [tasks[0], tasks[-1]] if short else tasks
    note = ""
    try:
        find_sshd()
        server = stack.enter_context(loopback_server())
        words = list(BENCH)
        words[words.index("--runtime") : words.index("--runtime")] = ["--device", str(device_file(place.folder, server))]
        tasks.append(Task("device run", tuple(words), RESULTS))
    except EdgeproofError as error:
        note = f"SKIPPED: {error}"
    randomly = random.Random(SEED)
    moments = 1 if short else MOMENTS_A_COMMAND
    counts = [counted(PART, f"kill -9 of {task.name}", kill_trials(place, task, randomly, moments)) for task in tasks]
    return [*counts, Count(PART, "kill -9 of device run", 0, 0, 0, note)] if note else counts


def kill_trials(place: Workplace, task: Task, randomly: random.Random, moments: int) -> Iterator[Callable[[], None]]:
    """Run a command once to its end, then yield a trial for each moment."""
    start_s = time.monotonic()
    writes = place.writes_of(task.words)
    took_s = time.monotonic() - start_s
    for number in range(moments):
        at_write, at_s = randomly.randint(1, writes), randomly.uniform(0, took_s)
        yield partial(kill, place, task, f"kill:{at_write}" if number % 2 == 0 else "", at_s)


def kill(place: Workplace, task: Task, fault: str, at_s: float) -> None:
    """Kill a run, check what it left, and run it again."""
    before = place.files()
    with place.start(task.words, fault) as process:
        if not fault:
            try:
                process.wait(at_s)
            except subprocess.TimeoutExpired:
                process.kill()
        place.end_of(process)
    require(process.returncode == -signal.SIGKILL or not fault, f"it ended with {process.returncode}, not by the kill")
    place.check_no_orphan()
    place.check(before, task.together)
    place.succeed([*task.words, *task.again])
    place.check({}, ())
    place.check_tidy()
    for far in place.folder.glob("far*"):
        require(not list((far / "tmp").iterdir()), f"{far}: half files are left on the device")


# ---- disks ----------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[bool]:
    """Mount a small disk, as root; yield whether it could be."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def without_disk(what: str) -> Count:
    """Return the note that is printed if `small_disk` could not be mounted."""
    return Count(PART, what, 0, 0, 0, "SKIPPED: no disk can be mounted: run it as root")


def disk_full(folder: Path, short: bool) -> Count:
    """Measure onto a real small disk with more and more space, until it is enough."""
    what = "full disk: bench"
    with small_disk(folder / "build", 4 << 20) as mounted:
        if not mounted:
            return without_disk(what)
        place = Workplace(folder)
        words = ("-m", "bench", "run", str(planted_model(folder, "healthy")), *PLANTED)
        place.succeed(words, planted=True)
        rooms = (0,) if short else range(0, 1_200_000, 60_000)
        return counted(PART, what, [partial(fill, place, words, room) for room in rooms])


def fill(place: Workplace, words: Sequence[str], room_bytes: int) -> None:
    """Leave this much space, and run; then free space, and run again."""
    before, filler = place.files(), place.folder / "build" / "sub" / "filler"
    filler.parent.mkdir(exist_ok=True)
    free = shutil.disk_usage(place.build).free
    filler.write_bytes(bytes(max(0, free - room_bytes)))
    ended = place.run(words, planted=True)
    if ended.code:
        require(ended.code in (1, 2), f"it ended with {ended.code}")
        last = ended.text.strip().splitlines()[-1]
        require("build/" in last and "No space left on device" in last, f"it said {last!r}")
    filler.unlink()
    filler.parent.rmdir()
    place.check(before, RESULTS)
    place.succeed(words, planted=True)
    place.check_tidy()


def writes_refused(place: Workplace, short: bool) -> Count:
    """Refuse each write of a run, and all after it, as a full disk does."""
    words = ("-m", "bench", "run", str(planted_model(place.folder, "healthy")), *PLANTED)
    place.succeed(words, planted=True)
    writes = place.writes_of(words, planted=True)
    numbers = [writes // 2] if short else range(1, writes)  # the last removes a file, which no full disk refuses
    return counted(PART, "full disk from a write on: bench", [partial(refuse, place, words, number) for number in numbers])


def refuse(place: Workplace, words: Sequence[str], number: int) -> None:
    """Refuse the write of this number."""
    before = place.files()
    ended = place.run(words, f"full:{number}", planted=True)
    require(ended.code in (1, 2), f"it ended with {ended.code}")
    last = ended.text.strip().splitlines()[-1]
    require("build/" in last and "No space left on device" in last, f"write {number}: it said {last!r}")
    place.check(before, RESULTS)
    place.succeed(words, planted=True)
    place.check_tidy()


def read_only(folder: Path, place: Workplace) -> Count:
    """Run each command where build/ can only be read."""
    what = "folder that can only be read"
    with small_disk(folder / "build", 64 << 20) as mounted:
        if not mounted:
            return without_disk(what)
        copy = Workplace(folder)
        shutil.copytree(place.build, folder / "build", dirs_exist_ok=True)
        (folder / "digits").symlink_to(place.folder / "digits")
        subprocess.run(["mount", "-o", "remount,ro", str(folder / "build")], check=True)
        convert = ("-m", "convert", "run", f"{MODEL}@tiny", "--variants", "float32.tflite")
        tasks = [TRAIN, convert, BENCH, ("-m", "bench", "report")]
        return counted(PART, what, [partial(write_nothing, copy, words) for words in tasks])


def write_nothing(place: Workplace, words: Sequence[str]) -> None:
    """Run a command that must say that it cannot write."""
    before = place.files()
    ended = place.run(words)
    last = ended.text.strip().splitlines()[-1]
    require(ended.code == 2, f"it ended with {ended.code}")
    require("build/" in last and "Read-only file system" in last, f"it said {last!r}")
    require(place.files() == before, "something was written")


# ---- clocks, Ctrl-C, two at a time, crashes -------------------------------------------------------------------------


def clock_jumps(place: Workplace) -> Count:
    """Run each command while the clock jumps by weeks each time it is read."""
    convert = ("-m", "convert", "run", f"{MODEL}@tiny", "--variants", "float32.tflite")

    def jump(words: Sequence[str]) -> None:
        before = place.files()
        place.succeed(words, "clock:0")
        place.check(before, ())
        place.check_tidy()

    return counted(PART, "clock jumps to and fro", [partial(jump, words) for words in (TRAIN, convert, BENCH)])


def wait_for(process: "subprocess.Popen[str]", text: str, times: int = 1) -> None:
    """Read what a process prints until a text has appeared `times` times."""
    assert process.stdout is not None
    seen = ""
    while times:
        line = process.stdout.readline()
        seen += line
        require(bool(line), f"it ended before it printed {text!r}: {seen[-300:]!r}")
        times -= text in line


def wait_for_process(starts: Path, process: "subprocess.Popen[str]", number: int) -> None:
    """Wait until the planted runtime has been started so many times."""
    end_s = time.monotonic() + PATIENCE_S
    while not starts.exists() or len(starts.read_text().split()) < number:
        require(process.poll() is None and time.monotonic() < end_s, f"it never started process {number}")
        time.sleep(0.05)


def interrupted_once(place: Workplace, planted: Workplace, short: bool) -> Count:
    """Interrupt once: what is finished is kept."""

    def bench() -> None:
        models = [str(planted_model(planted.folder, name)) for name in ("healthy", "hanging")]
        with planted.start(("-m", "bench", "run", *models, *PLANTED), planted=True) as process:
            wait_for_process(planted.folder / "hanging.starts", process, 3)  # which hangs: two rounds are finished
            process.send_signal(signal.SIGINT)
            ended = planted.end_of(process)
        require(ended.code == 130, f"it ended with {ended.code}")
        rows = {row.subject.model: row.latency.processes for row in load_results(planted.build / "bench.json").rows}
        require(rows.keys() == {"healthy", "hanging"} and rows["hanging"] == 2, f"kept rows and their rounds: {rows}")
        planted.check_no_orphan()
        planted.check_tidy()

    def train() -> None:
        before = place.files()
        with place.start(TRAIN) as process:
            wait_for(process, "epoch 2 of ")
            process.send_signal(signal.SIGINT)
            ended = place.end_of(process)
        require(ended.code == 130, f"it ended with {ended.code}")
        place.check(before, ())
        resumed = place.succeed([*TRAIN, "--resume"])
        require("continuing after epoch 2" in resumed.text, f"it resumed with {resumed.text[:200]!r}")

    return counted(PART, "Ctrl-C once", [bench] if short else [bench, train])


def interrupted_twice(place: Workplace) -> Count:
    """Interrupt twice: the command ends at once, and earlier results stay."""

    def twice(words: Sequence[str], text: str, again: Sequence[str]) -> None:
        before = place.files()
        with place.start(words) as process:
            wait_for(process, text)
            end_s = time.monotonic() + PATIENCE_S
            while process.poll() is None and time.monotonic() < end_s:
                process.send_signal(signal.SIGINT)
                time.sleep(0.05)
            require(process.poll() is not None, "it goes on")
            ended = place.end_of(process)
        # -2 where the signal met Python's own end, whose handlers are gone: a shell calls both 130
        require(ended.code in (130, -signal.SIGINT), f"it ended with {ended.code}")
        place.check_no_orphan()
        place.check(before, ())
        place.succeed(again)
        place.check_tidy()

    bench = partial(twice, (*BENCH[:-1], "60"), "latency of", BENCH)
    return counted(PART, "Ctrl-C twice", [partial(twice, TRAIN, "epoch 1 of ", TRAIN), bench])


def two_at_a_time(place: Workplace, short: bool) -> Count:
    """Start the same command twice: one is refused and names the other; neither damages anything."""

    def two(words: Sequence[str], text: str) -> None:
        before = place.files()
        with place.start(words) as first:
            wait_for(first, text)
            second = place.run(words)
            require(second.code == 1, f"the second ended with {second.code}: {second.text[-200:]!r}")
            require(f"process {first.pid} " in second.text, f"the second said {second.text[-200:]!r}")
            require(place.end_of(first).code == 0, "the first failed")
        place.check(before, ())
        place.check_tidy()

    convert = ("-m", "convert", "run", f"{MODEL}@tiny", "--variants", VARIANTS)
    bench = partial(two, (*BENCH[:-1], "3"), "latency of")
    return counted(
        PART,
        "two at a time in one place",
        [bench] if short else [partial(two, TRAIN, "epoch 1 of "), partial(two, convert, "float32.tflite:"), bench],
        "the second is refused",
    )


def crashing_runtime(place: Workplace) -> Count:
    """Measure a model on which the runtime segfaults beside one on which it does not."""

    def crash() -> None:
        models = [str(planted_model(place.folder, name)) for name in ("crashing", "healthy")]
        ended = place.run(("-m", "bench", "run", *models, *PLANTED), planted=True)
        require(ended.code == 1, f"it ended with {ended.code}")
        results = load_results(place.build / "bench.json")
        require([row.subject.model for row in results.rows] == ["healthy"], "the healthy row is missing")
        require("SIGSEGV" in results.skipped[0].reason, f"the reason is {results.skipped[0].reason!r}")

    return counted(PART, "runtime that segfaults", [crash], "its row says so, the others go on")
