"""Training a grid of settings: resumable, on this machine or on a Dask cluster, compared on the validation part."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import read_json, replacing, write_bytes, write_json
from common.json_record import Damaged, Record
from common.paths import BUILD
from common.progress import task_progress
from common.tables import markdown_table, markdown_text
from device.errors import EdgeproofError
from train.data.dataset import DataReference
from train.points import train_settings
from train.settings import check_setting, known_settings

Settings = dict[str, Any]
NONE = "–"


@dataclass(frozen=True)
class Point(Record):
    """One trained setting of the grid, or the reason why it failed."""

    settings: Mapping[str, Any]
    val_accuracy: float | None = None
    val_loss: float | None = None
    val_total: int | None = None
    seconds: float | None = None
    parameters: int | None = None
    error: str | None = None


def parse_grid(model: str, texts: Sequence[str]) -> list[Settings]:
    """Read ["epochs=5,10", "optimizer=adam,sgd"] as the grid's points.

    Raises EdgeproofError for a setting that the model does not have or a value of another type.
    """
    known = known_settings(model)
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise EdgeproofError(f"--set {text!r}: expected NAME=VALUE,VALUE,..., as in --set epochs=5,10")
        if name not in known:
            raise EdgeproofError(f"--set {text!r}: {model} has no setting {name!r}: there are {', '.join(sorted(known))}")
        axes[name] = [_value(text, name, known[name], value.strip()) for value in values.split(",")]
    if not axes:
        raise EdgeproofError("a sweep needs at least one --set NAME=VALUE,VALUE,...")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _value(text: str, name: str, kind: Any, value: str) -> Any:
    try:
        found: Any = json.loads(value)
    except ValueError:
        if not value.replace("_", "").isalnum():
            raise EdgeproofError(f"--set {text!r}: {value!r} is neither a number nor a name") from None
        found = value
    try:
        check_setting(name, kind, found)
    except EdgeproofError as error:
        raise EdgeproofError(f"--set {text!r}: {error}") from error
    return found


def sweep(
    model: str,
    points: Sequence[Settings],
    executor: Executor,
    folder: Path,
    say: Callable[[str], None],
    data: DataReference | None = None,
) -> list[Point]:
    """Train every point that is not in `folder` yet and return all points, in the grid's order.

    Each is written as soon as it is done, so that an interrupted sweep can continue.
    """
    reference = data or DataReference("mnist")
    paths = [_point_path(folder, model, reference, settings) for settings in points]
    finished = {path: _read_point(path) for path in paths if path.exists()}
    done = {path: point for path, point in finished.items() if point.error is None}
    if done:
        say(f"{len(done)} of {len(points)} points were trained before")
    futures = {
        executor.submit(train_point, model, settings, reference.to_json()): (path, settings)
        for path, settings in zip(paths, points, strict=True)
        if path not in done
    }
    with task_progress("training points", len(futures)) as advance:
        for future in as_completed(futures):
            path, settings = futures[future]
            try:
                point = Point.from_json(future.result())
            except Exception as error:  # a point that fails, or whose process died, is a row with its reason
                point = Point(settings=settings, error=f"{type(error).__name__}: {error}".splitlines()[0])
            write_json(path, point.to_json())
            done[path] = point
            say(describe(point))
            advance(1)
    return [done[path] for path in paths]


def _read_point(path: Path) -> Point:
    try:
        return Point.from_json(read_json(path))
    except Damaged as error:
        raise EdgeproofError(f"{path}: {error}: remove it, and its point is trained again") from error


def _point_path(folder: Path, model: str, reference: DataReference, settings: Settings) -> Path:
    key = json.dumps([model, reference.to_json(), settings], sort_keys=True)
    return folder / "points" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def train_point(model: str, settings: Settings, reference: Mapping[str, Any]) -> dict[str, Any]:
    """Train one point and return it as JSON; runs in a process of the executor. The test part is not used."""
    trained = train_settings(model, settings, DataReference.from_json(reference))
    last, parameters = trained.history[-1], int(trained.network.count_params())
    return Point(
        settings=settings,
        val_accuracy=last.val_accuracy,
        val_loss=last.val_loss,
        val_total=len(trained.val.labels),
        seconds=trained.seconds,
        parameters=parameters,
    ).to_json()


def sweep_folder(model: str) -> Path:
    """Return where a model's sweeps are kept."""
    return BUILD / f"{model}@sweep"


def describe(point: Point) -> str:
    """Return one line for people."""
    settings = " ".join(f"{name}={value}" for name, value in point.settings.items())
    if point.val_accuracy is None:
        return f"{settings}: failed: {point.error}"
    return f"{settings}: validation accuracy {100 * point.val_accuracy:.2f} %, {point.seconds:.0f} s"


def table(points: Sequence[Point]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the comparison, best first, failed points last."""
    names = list(dict.fromkeys(name for point in points for name in point.settings))
    header = [*names, "val accuracy %", "val loss", "s", "parameters", "note"]
    rows = []
    for point in sorted(points, key=lambda point: -(point.val_accuracy or 0)):
        settings = [str(point.settings.get(name, NONE)) for name in names]
        if point.val_accuracy is None:
            rows.append([*settings, NONE, NONE, NONE, NONE, str(point.error)])
        else:
            figures = [f"{100 * point.val_accuracy:.2f}", f"{point.val_loss:.4f}", f"{point.seconds:.0f}"]
            rows.append([*settings, *figures, f"{point.parameters:,}", ""])
    return header, rows


def write_summary(model: str, points: Sequence[Point], folder: Path) -> None:
    """Write sweep.md, sweep.json and sweep.png."""
    header, rows = table(points)
    text = "\n".join(markdown_table(header, rows, ["---"] * len(header)))
    write_bytes(folder / "sweep.md", f"# {markdown_text(model)}: validation accuracy\n\n{text}\n".encode())
    write_json(folder / "sweep.json", [point.to_json() for point in points])
    _plot(model, [point for point in points if point.error is None], folder / "sweep.png")


def _plot(model: str, points: Sequence[Point], path: Path) -> None:
    """Draw validation accuracy over training time; the size of a mark shows the number of parameters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for point in points:
        label = ", ".join(f"{name} {value}" for name, value in point.settings.items())
        accuracy = 100 * float(point.val_accuracy or 0)
        area = 20 + 60 * float(point.parameters or 0) / max(float(other.parameters or 1) for other in points)
        axes.scatter([float(point.seconds or 0)], [accuracy], s=area, label=label)
        if len(points) <= 24:
            axes.annotate(
                label, (float(point.seconds or 0), accuracy), xytext=(5, 4), textcoords="offset points", fontsize=7
            )
    axes.set(xlabel="training time in s", ylabel="validation accuracy in %", title=f"{model}: sweep")
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
