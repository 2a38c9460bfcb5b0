"""The winner in full: trained with three seeds by its settings and the whole recipe, converted, verified, tested, packed.

Here, and only here, the test pictures are looked at.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from bench.artifacts.find import find_artifacts
from bench.measure.fresh_processes import FreshProcesses, Side
from bench.search.figures import Measures
from bench.search.result import FinalTraining, SearchResult, Trial
from bench.search.spec import Effort, SearchSpec
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
from train.request import Request
from train.run import run
from train.spec import DEFAULT_RECIPE

SEEDS = 3  # other ones than the trials': the winner was chosen by what its own seed gave
Say = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """One final training: what to train, and the variant to convert to."""

    request: Request
    variant: str  # "int8.tflite"

    @property
    def path(self) -> Path:
        """Return the artifact that it leaves."""
        return self.request.folder / f"{self.request.model}.{self.variant}"


def finished(
    spec: SearchSpec, result: SearchResult, folder: Path, measures: Measures, effort: Effort, say: Say
) -> SearchResult:
    """Train, convert, test and pack the winner; a result that has its final trainings is only packed.

    Raises EdgeproofError where a training fails.
    """
    assert result.winner is not None
    winner = result.trial(result.winner)
    trainings = [_training(spec, winner, folder, number) for number in range(SEEDS)]
    if not result.final:
        result = replace(result, final=_final(trainings, winner, measures, effort.jobs, say))
    return replace(result, bundle=str(_packed(trainings[0].path, effort.target, measures)))


def _final(
    trainings: Sequence[Training], winner: Trial, measures: Measures, jobs: int, say: Say
) -> tuple[FinalTraining, ...]:
    """Train with each seed, then test each."""
    say(f"training trial {winner.number} in full with seeds {', '.join(str(one.request.seed) for one in trainings)}")
    _train(trainings, jobs)
    with FreshProcesses(say) as fresh:
        return tuple(_tested(training, str(winner.runtime), measures, fresh, say) for training in trainings)


def _training(spec: SearchSpec, winner: Trial, folder: Path, number: int) -> Training:
    """Return what one seed trains; the first one's files lie in the search's own folder."""
    seed = spec.seed + 1 + number
    place = folder if number == 0 else folder / "seeds" / f"{spec.model}@{folder.name.partition('@')[2]}-{seed}"
    settings = dict(winner.settings)
    recipe = str(settings.pop("recipe", DEFAULT_RECIPE))  # not the one that suits the number of pictures: trials had this
    path = spec.data.get("path")
    request = Request(
        spec.model,
        recipe=recipe,
        data=None if path is None else Path(path),
        seed=seed,
        settings=settings,
        place=place,
    )
    return Training(request, f"{winner.variant}.{spec.format_of(winner)}")


def _train(trainings: Sequence[Training], jobs: int) -> None:
    """Train and convert, `jobs` at a time, each in a process of its own. Ctrl-C ends them at once."""
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as threads:
        children = [stack.enter_context(Child(lambda _: None, "its process")) for _ in trainings]
        try:
            list(threads.map(lambda child, one: child.run(_train_there, one), children, trainings))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.kill()
            raise


def _train_there(_: Workplace, training: Training) -> None:
    """Train as `train run` does, and convert as `convert run` does."""
    request = training.request
    folder = run(request, lambda _: None).folder
    (variant,) = find_variants([training.variant])
    with closing(TrainedModel(folder / f"{request.model}.keras")) as trained:
        convert_variant(trained, variant, training.path, None)


def _tested(training: Training, runtime: str, measures: Measures, fresh: FreshProcesses, say: Say) -> FinalTraining:
    """Answer the test pictures and measure the figures of one seed's artifact."""
    seed = training.request.seed
    answers = fresh.answers(Side(find_artifacts([training.path])[0], runtime))
    correct, total = int((answers.predictions == answers.labels).sum()), len(answers.labels)
    say(f"  seed {seed}: {100 * correct / total:.2f} % of {total:,} test pictures")
    return FinalTraining(seed, correct, total, measures.of(training.path, runtime))


def check_target(target: str | None) -> None:
    """Raise EdgeproofError for a target that there is not, before anything is trained."""
    if target is not None:
        find_board(target) if is_board(target) else find_target(target)


def _packed(artifact: Path, target: str | None, measures: Measures) -> Path:
    """Pack the winner: one file that Python runs, a bundle for a device, or C sources for a board."""
    if target is None:
        return write_one_file(artifact)
    if not is_board(target):
        return write_bundle(
            artifact, find_target(target), artifact.with_name(f"{artifact.name}.{target}.tar.gz"), False
        ).path
    board, figures = find_board(target), measures.micro(artifact)
    folder = artifact.with_name(f"{artifact.stem}.{board.name}")
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier winner
    return write_export(artifact, board, folder, MeasuredFigures({figures.model_sha256: figures}, {})).folder
