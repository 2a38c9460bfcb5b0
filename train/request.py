"""A request for a training: what it names, where it writes to, and its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from common.cli import is_name
from common.paths import BUILD
from device.card import Step, check_name
from device.errors import CardError, EdgeproofError
from train.data.dataset import DataReference, Dataset
from train.data.folders import load_folder, unusable
from train.data.open_dataset import open_dataset
from train.models import find_model
from train.spec import DEFAULT_RECIPE, Weights

Frame = Literal["whole", "digit"]


@dataclass(frozen=True)
class Request:
    """What to train: everything that a result depends on."""

    model: str
    recipe: str | None = None  # None: the one that suits the number of training pictures
    data: Path | None = None
    name: str | None = None  # of the folder, build/MODEL@NAME
    weights: Weights = "imagenet"
    seed: int = 0
    frame: Frame = "whole"  # of pictures in folders; MNIST's are framed digits
    freeze: bool = False  # train only the head
    skip_bad: bool = False  # leave unreadable pictures out
    side: int | None = None  # of the model's pictures; None: the model's own
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the recipe and of build(): a search's winner has some
    place: Path | None = None  # the folder to write to; None: one in build/

    @property
    def folder(self) -> Path:
        """Return build/MODEL for the defaults, build/MODEL@NAME for anything else."""
        if self.place is not None:
            return self.place
        parts = [] if self.data is None else [self.data.resolve().name]
        parts += [] if self.side is None or self.side == find_model(self.model).spec.height else [str(self.side)]
        parts += [] if self.recipe in (None, DEFAULT_RECIPE) else [self.recipe]
        parts += [] if self.weights == "imagenet" else [f"weights-{self.weights}"]
        parts += ["frozen"] if self.freeze else []
        parts += [] if self.seed == 0 else [f"seed{self.seed}"]
        name = self.name or "-".join(parts)
        return BUILD / (f"{self.model}@{name}" if name else self.model)


def check_folder_name(request: Request) -> None:
    """Raise EdgeproofError for a name that the model's card could not hold: better now than after hours of training."""
    if request.name and not is_name(request.name):
        raise EdgeproofError(f"--name {request.name!r}: expected letters, digits, '-', '_' and '.' only")
    name = request.folder.name.partition("@")[2]
    try:
        check_name("name", name or request.model)
    except CardError as error:
        raise EdgeproofError(f"{request.folder}: {error}: give another name with --name NAME") from error


def request_dataset(request: Request, steps: Sequence[Step]) -> Dataset:
    """Open the pictures of a request. Raises EdgeproofError that lists unusable ones, unless they are skipped."""
    if request.data is None:
        recipe = find_model(request.model).spec.recipe(request.recipe or DEFAULT_RECIPE)
        return open_dataset(DataReference("mnist", held_out=recipe.held_out))
    dataset = load_folder(request.data, request.seed)
    skipped: list[str] = []
    while bad := unusable(dataset, steps):  # skipping some changes the random split, so check again
        if not request.skip_bad:
            listed = "".join(f"\n  {path}: {reason}" for path, reason in bad.items())
            raise EdgeproofError(f"{request.data}: {len(bad)} unusable pictures; repair them, or give --skip-bad:{listed}")
        skipped = sorted([*skipped, *bad])
        dataset = load_folder(request.data, request.seed, skipped=skipped)
    return dataset
