"""What onnxruntime's providers on accelerators have in common: no silent fall-back, and proof of where it ran."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.machine.accelerators import Accelerator, probe
from bench.runtimes import FellBack
from device.card import Card
from device.errors import ModelError
from device.runtimes import OnnxSession

Choose = Callable[[Any, Any], list[str]]  # of the onnxruntime module and SessionOptions; returns the providers to use
FALLBACK_REFUSED = "fallback to CPU EP has been explicitly disabled"


class AcceleratedOnnxSession(OnnxSession):
    """An `.onnx` whose every node must be on one provider of onnxruntime."""

    def __init__(self, path: Path, card: Card, threads: int, runtime: str, provider: str, api: str, choose: Choose) -> None:
        """Open it. Raises ModelError where a node cannot run on the provider: by default onnxruntime takes the CPU."""
        self._path, self._provider, self._api, self._choose = path, provider, api, choose
        try:
            super().__init__(path, threads, card)
        except ModelError as error:
            if FALLBACK_REFUSED not in str(error):
                raise
            raise ModelError(
                f"{path}: {provider} takes only a part of it, the rest would fall back to the CPU: measure float32 on it"
            ) from error
        self.runtime = runtime
        if self._session.get_providers()[0] != provider:
            raise FellBack(f"{path}: fell back: asked for {provider}, onnxruntime took {self._session.get_providers()[0]}")

    def _create(self, ort: Any, path: Path, options: Any, disabled_optimizers: Sequence[str] | None) -> Any:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = self._choose(ort, options) or None
        return ort.InferenceSession(
            str(path), options, providers=providers, disabled_optimizers=disabled_optimizers, enable_fallback=0
        )

    def ran_on(self, tensor: Any) -> Accelerator:
        """Return the provider's device, after one more run whose profile names the provider of each node.

        Raises FellBack where a node ran on another one. A profiled session is slower, so it is not the timed one.
        """
        strangers = {name for name in self._profiled_providers(tensor) if name != self._provider}
        if strangers:
            raise FellBack(f"{self._path}: fell back: nodes ran on {', '.join(sorted(strangers))}, not on {self._provider}")
        return min(probe(self._api).devices, key=lambda device: device.software)

    def _profiled_providers(self, tensor: Any) -> set[str]:
        import onnxruntime as ort

        with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
            options = ort.SessionOptions()
            options.log_severity_level = 3
            options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
            providers = self._choose(ort, options) or None
            session = ort.InferenceSession(str(self._path), options, providers=providers, enable_fallback=0)
            session.run(self._output_names, {self._input_name: tensor})
            events = json.loads(Path(session.end_profiling()).read_text())
        named = {event["args"].get("provider") for event in events if event["cat"] == "Node"} - {None, ""}
        if not named:
            raise FellBack(f"{self._path}: onnxruntime's profile names no provider: where it ran is unknown")
        return named
