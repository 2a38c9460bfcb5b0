"""One model in LiteRT's reference kernels, in a process of its own: see serving.py."""

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.remote.microcontroller.serving import Refused, serve
from convert.formats.reference_kernels import ReferenceSession
from device.errors import EdgeproofError
from device.formats.model_file import read_card


class ReferenceModel:
    """A model that is open in the reference kernels."""

    def __init__(self, path: Path) -> None:
        try:
            card = read_card(path)
            assert card is not None, "the run has read it before"
            self._session = ReferenceSession(path, card)
        except EdgeproofError as error:
            raise Refused(str(error).removeprefix(f"{path}: ")) from error

    def facts(self) -> dict[str, Any]:
        """Return the version and the two ends."""
        takes, gives = (
            {
                "shape": [int(side) for side in end["shape"]],
                "dtype": np.dtype(end["dtype"]).name,
                "quantization": [float(end["quantization"][0]), int(end["quantization"][1])],
            }
            for end in self._session.ends
        )
        return {"version": metadata.version("ai-edge-litert"), "input": takes, "output": gives}

    def infer(self, tensor: bytes) -> bytes:
        """Set the input, invoke, get the output."""
        session = self._session
        given: npt.NDArray[Any] = np.frombuffer(tensor, session.input_dtype).reshape(session.input_shape)
        try:
            return session.infer(given).tobytes()
        except (RuntimeError, ValueError) as error:
            raise Refused(f"LiteRT's reference kernels cannot run the model: {error}") from error

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Refuse a request that only an interpreter of microcontrollers knows."""
        raise Refused(f"unknown request {sorted(request)}")


if __name__ == "__main__":
    sys.exit(serve(ReferenceModel))
