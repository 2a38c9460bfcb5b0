"""A model that is open in another process: the session sends it the input tensor and gets the output tensor."""

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.worker_pool import Talk
from bench.results.outcome import RowCrashed
from device.card import Card
from device.errors import EdgeproofError
from device.runtimes import TfliteSession


class PipeSession(TfliteSession):
    """A `.tflite` in an interpreter behind a pipe; it keeps the bytes of each answer."""

    def __init__(self, talk: Talk, runtime: str, path: Path, card: Card) -> None:
        """Take over what the process says of its model. Raises RowCrashed for facts that cannot be."""
        self._talk, self.runtime = talk, runtime
        self.answers: list[bytes] = []
        try:
            self._version = str(talk.ready["version"])
            takes, gives = (self._end(talk.ready[name]) for name in ("input", "output"))
            self._take_details(path, [takes], [gives])
            self.output_dtype = gives["dtype"]
            self.fit(path, card)
        except (KeyError, TypeError, ValueError, EdgeproofError) as error:
            raise RowCrashed(f"its interpreter says what cannot be ({error})") from error

    @staticmethod
    def _end(said: Any) -> dict[str, Any]:
        return {"index": 0, **said, "dtype": np.dtype(said["dtype"])}

    @property
    def runtime_version(self) -> str:
        """Return the interpreter's version."""
        return self._version

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the output tensor (1, classes) of the input tensor (1, H, W, C). Raises RowRefused or RowCrashed."""
        said = self._talk.ask(json.dumps({"infer": b64encode(np.ascontiguousarray(tensor).tobytes()).decode()}))
        try:
            self.answers.append(b64decode(said["output"]))
            return np.frombuffer(self.answers[-1], self.output_dtype).reshape(self.output_shape)
        except (KeyError, TypeError, ValueError) as error:
            raise RowCrashed(f"its interpreter gave an answer that cannot be ({error})") from error

    def number(self, request: dict[str, Any], key: str) -> int:
        """Return a number that the process answers under `key`. Raises RowRefused or RowCrashed."""
        found = self._talk.ask(json.dumps(request)).get(key)
        if not isinstance(found, int) or found < 0:
            raise RowCrashed(f"its interpreter answered {key} {found!r}, expected a number")
        return found

    def works(self, arena_bytes: int, tensor: npt.NDArray[Any]) -> bool:
        """Say whether an inference works in an arena of that size."""
        sent = b64encode(np.ascontiguousarray(tensor).tobytes()).decode()
        return bool(self.number({"works": arena_bytes, "tensor": sent}, "works"))


def first_line(model: Path, memory_bytes: int) -> str:
    """Return the line that says which model a process opens."""
    return json.dumps({"model": str(model.resolve()), "memory_bytes": memory_bytes, "parent_id": os.getpid()})
