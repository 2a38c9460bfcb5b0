"""Pictures of a training run: its history and its model's layers."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.files import replacing
from train.fitting.history import Epoch

LAYERS_A_COLUMN = 40
LAYER_COLORS = {
    "Conv2D": "#4c78a8",
    "DepthwiseConv2D": "#72b7b2",
    "Dense": "#f58518",
    "BatchNormalization": "#bab0ac",
    "ReLU": "#e0e0e0",
    "MaxPooling2D": "#54a24b",
    "GlobalAveragePooling2D": "#54a24b",
    "Add": "#eeca3b",
}


def plot_history(history: Sequence[Epoch], title: str, path: Path) -> None:
    """Draw loss and accuracy, training and validation, over the epochs into a PNG."""
    from matplotlib.figure import Figure  # no pyplot: nothing global, no display

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = [epoch.epoch for epoch in history]
        axes.plot(epochs, [getattr(epoch, name) for epoch in history], "o-", ms=3, label="training")
        axes.plot(epochs, [getattr(epoch, f"val_{name}") for epoch in history], "s-", ms=3, label="validation")
        for before, after in pairwise(history):
            if before.phase != after.phase:
                axes.axvline(before.epoch + 0.5, color="gray", ls=":", label=f"{before.phase} | {after.phase}")
        axes.set(xlabel="epoch", ylabel=name, title=f"{title}: {name}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def plot_layers(model: Any, path: Path) -> None:
    """Draw a keras.Model's layers in their order, with output shapes and parameters, into a PNG."""
    from matplotlib.figure import Figure

    columns = -(-len(model.layers) // LAYERS_A_COLUMN)
    rows = -(-len(model.layers) // columns)
    figure = Figure(figsize=(4.6 * columns, 0.34 * rows + 0.9), layout="constrained")
    figure.suptitle(f"{model.name}: {model.count_params():,} parameters")
    axes = figure.subplots()
    for place, layer in enumerate(model.layers):
        column, row = divmod(place, rows)
        kind, shape = type(layer).__name__, "×".join(str(side) for side in layer.output.shape[1:])
        text = f"{kind}  {shape}" + (f"  {layer.count_params():,}" if layer.count_params() else "")
        box = {"boxstyle": "round,pad=0.25", "fc": LAYER_COLORS.get(kind, "#ffffff"), "ec": "#555555", "alpha": 0.55}
        axes.text(column + 0.02, -row, text, fontsize=8, va="center", bbox=box)
        axes.text(column + 0.98, -row, layer.name, fontsize=6, va="center", ha="right", color="#777777")
        if row and place:
            axes.plot([column + 0.05] * 2, [-row + 0.68, -row + 0.32], color="#555555", lw=0.8)
    axes.set(xlim=(0, columns), ylim=(-rows + 0.4, 0.6))
    axes.axis("off")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)
