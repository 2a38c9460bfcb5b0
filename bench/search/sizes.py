"""Whether the networks of a space can be built: a value that none can have is refused before anything is trained."""

import itertools
from collections.abc import Mapping

from bench.search.result import Setting
from bench.search.space import Space
from convert.child import Child, Workplace
from convert.reasons import reason_of
from device.errors import EdgeproofError
from train.models import find_model

CLASSES = 10
Options = dict[str, Setting]


def check_sizes(model: str, space: Space) -> None:
    """Build the networks at the ends of the space. Raises EdgeproofError with the line of a value that none can have."""
    ends = {name: tuple(dict.fromkeys(space.axes[name].ends)) for name in space.build}
    options = [dict(zip(ends, values, strict=True)) for values in itertools.product(*ends.values())]
    if not ends:
        return
    with Child(lambda _: None, "its process") as child:
        reasons = child.run(_build_there, model, options)
    for name, values in ends.items():
        for value in values:
            mine = [reason for one, reason in zip(options, reasons, strict=True) if one[name] == value]
            if None not in mine:
                raise EdgeproofError(f"{space.where(name)} = {value}: no {model} can have it: {mine[0]}")


def _build_there(_: Workplace, model: str, options: list[Options]) -> list[str | None]:
    """Return for each network why it cannot be built, or None."""
    return [_why_not(model, one) for one in options]


def _why_not(model: str, options: Mapping[str, Setting]) -> str | None:
    try:
        find_model(model).build(CLASSES, **options)
    except Exception as error:  # whatever a library says of it
        return reason_of(error)
    return None
