"""The state of a run after each finished epoch, from which it can be resumed with the same result."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import read_json, replacing, write_json
from device.errors import EdgeproofError

STATE = "state.json"


@dataclass(frozen=True)
class Progress:
    """How far a run has come: the phase, the finished epochs in it, and the history so far as JSON."""

    phase: int = 0
    epochs: int = 0
    history: tuple[dict[str, Any], ...] = ()


class Checkpoint:
    """A folder that holds the last finished epoch: weights, the optimizer's state, dropout's random state, history.

    `settings` holds all that the result depends on: a checkpoint of other settings is refused.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder, dict(settings)
        self._state_path = folder / STATE

    def part(self, name: str) -> "Checkpoint":
        """Return the checkpoint of another network of the same run, such as a teacher; it is discarded with this one."""
        return Checkpoint(self._folder / name, {**self._settings, "part": name})

    def describe(self) -> str:
        """Say from where the run can go on: how many epochs are finished, those of the parts among them."""
        finished = sum(len(read_json(path)["history"]) for path in self._folder.rglob(STATE))
        if not finished:
            return f"{self._folder}: there is no finished epoch to continue from: starting again"
        return f"continuing after epoch {finished}"

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def save(self, network: Any, trained: Any, progress: Progress) -> None:
        """Save an epoch. state.json names the files of one epoch, so a killed run leaves the earlier epoch or this one."""
        stem = f"phase{progress.phase}-epoch{progress.epochs}"
        files = {"network": f"{stem}.network.weights.h5", "trained": f"{stem}.trained.weights.h5"}
        for part, name in files.items():
            with replacing(self._folder / name) as temporary:
                {"network": network, "trained": trained}[part].save_weights(temporary)
        state = {"settings": self._settings, "files": files, "random": _random_states(network), **vars(progress)}
        write_json(self._state_path, state)
        for path in self._folder.glob("*.weights.h5"):
            if path.name not in files.values():
                path.unlink()

    def restore(self, network: Any) -> Progress:
        """Load the weights of the last finished epoch, if there is one, and return its progress.

        Raises EdgeproofError for a checkpoint of other settings, naming the first that differs, or a damaged one.
        """
        if not self._state_path.exists():
            return Progress()
        state = read_json(self._state_path)
        try:
            for name, value in self._settings.items():
                if state["settings"].get(name) != value:
                    raise EdgeproofError(
                        f"{self._folder}: was made with {name} {state['settings'].get(name)!r}, not {value!r}: "
                        "give the same settings, or start again without --resume"
                    )
            network.load_weights(self._folder / state["files"]["network"])
            for place, values in state["random"].items():
                network.layers[int(place)].seed_generator.state.assign(values)
            return Progress(state["phase"], state["epochs"], tuple(state["history"]))
        except (KeyError, TypeError, AttributeError, OSError, ValueError) as error:
            raise EdgeproofError(f"{self._folder}: is damaged ({error}): start again without --resume") from error

    def restore_optimizer(self, trained: Any) -> None:
        """Load the optimizer's state of the last finished epoch into a compiled model, whose optimizer is built."""
        trained.load_weights(self._folder / read_json(self._state_path)["files"]["trained"])


def _random_states(network: Any) -> dict[str, list[int]]:
    """Return the state of each layer's random generator, by the layer's index: Keras does not save dropout's."""
    return {
        str(place): layer.seed_generator.state.numpy().tolist()
        for place, layer in enumerate(network.layers)
        if hasattr(layer, "seed_generator")
    }
