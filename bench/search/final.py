"""The winner in full: trained with three seeds by its settings and the whole recipe, converted, verified, tested, packed.

Here, and only here, the test pictures are looked at.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from bench.artifacts.find import find_artifacts
from bench.measure.fresh_processes import FreshProcesses, Side
from bench.search.figures import Measures
from bench.search.question import Question
from bench.search.result import FinalTraining, SearchResult, Trial
from common.micro_figures import MeasuredFigures
from convert.child import Child, Workplace
from convert.deployment.bundle import write_bundle
from convert.deployment.microcontroller.board import find_board, is_board
from convert.deployment.microcontroller.export import write_export
from convert.deployment.one_file import write_one_file
from convert.deployment.target import find_target
from convert.pipeline import convert_variant
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from train.run import Request, run
from train.spec import DEFAULT_RECIPE

SEEDS = 3  # other ones than the trials': the winner was chosen by what its own seed gave
Say = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """One final training: what to train, and the variant to convert to."""

    request: Request
    variant: str  # "int8.tflite"


def finished(
    question: Question,
    result: SearchResult,
    folder: Path,
    measures: Measures,
    jobs: int,
    target: str | None,
    say: Say,
) -> SearchResult:
    """Train, convert, test and pack the winner. Raises EdgeproofError where a training fails."""
    assert result.winner is not None
    winner = result.trial(result.winner)
    trainings = [_training(question, winner, folder, number) for number in range(SEEDS)]
    say(f"training trial {winner.number} in full with seeds {', '.join(str(one.request.seed) for one in trainings)}")
    paths = _trained(trainings, jobs)
    with FreshProcesses(say) as fresh:
        final = tuple(
            _tested(training.request.seed, path, winner, measures, fresh, say)
            for training, path in zip(trainings, paths, strict=True)
        )
    return replace(result, final=final, bundle=str(_packed(paths[0], target)))


def _training(question: Question, winner: Trial, folder: Path, number: int) -> Training:
    """Return what one seed trains; the first one's files lie in the search's own folder."""
    seed = question.seed + 1 + number
    place = folder if number == 0 else folder / "seeds" / f"{question.model}@{folder.name.partition('@')[2]}-{seed}"
    settings = dict(winner.settings)
    recipe = str(settings.pop("recipe", DEFAULT_RECIPE))  # not the one that suits the number of pictures: trials had this
    path = question.data.get("path")
    request = Request(
        question.model,
        recipe=recipe,
        data=None if path is None else Path(path),
        seed=seed,
        settings=settings,
        place=place,
    )
    return Training(request, f"{winner.variant}.{question.format_of(winner)}")


def _trained(trainings: Sequence[Training], jobs: int) -> list[Path]:
    """Train and convert, `jobs` at a time, each in a process of its own; return the artifacts."""

    def one(training: Training) -> Path:
        with Child(lambda _: None, "its process") as child:
            return child.run(_train_there, training)

    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(one, trainings))


def _train_there(_: Workplace, training: Training) -> Path:
    """Train as `train run` does, and convert as `convert run` does."""
    request = training.request
    folder = run(request, lambda _: None).folder
    (variant,) = find_variants([training.variant])
    path = folder / f"{request.model}.{variant.key}"
    with closing(TrainedModel(folder / f"{request.model}.keras")) as trained:
        return convert_variant(trained, variant, path, None).path


def _tested(seed: int, path: Path, winner: Trial, measures: Measures, fresh: FreshProcesses, say: Say) -> FinalTraining:
    """Answer the test pictures and measure the figures of one seed's artifact."""
    runtime = str(winner.runtime)
    answers = fresh.answers(Side(find_artifacts([path])[0], runtime))
    correct, total = int((answers.predictions == answers.labels).sum()), len(answers.labels)
    say(f"  seed {seed}: {100 * correct / total:.2f} % of {total:,} test pictures")
    return FinalTraining(seed, correct, total, measures.of(path, runtime))


def _packed(artifact: Path, target: str | None) -> Path:
    """Pack the winner: one file that Python runs, a bundle for a device, or C sources for a board."""
    if target is None:
        return write_one_file(artifact)
    if is_board(target):
        board = find_board(target)
        return write_export(
            artifact, board, artifact.with_name(f"{artifact.stem}.{board.name}"), MeasuredFigures.read(None)
        ).folder
    return write_bundle(artifact, find_target(target), artifact.with_name(f"{artifact.name}.{target}.tar.gz"), False).path
