"""A bench run on several devices at once, each reached in its own way."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from bench.remote.device_config import Device
from bench.remote.microcontroller.run import InterpreterRun
from bench.remote.request import DeviceOutcome, Request, Say
from bench.remote.run import DeviceRun
from bench.runtimes import find_runtime
from device.errors import EdgeproofError
from device.safe_text import printable


def run(devices: Sequence[Device], request: Request, say: Say) -> Iterator[DeviceOutcome]:
    """Measure on all devices side by side; yield each outcome when it is done. A device that fails loses only its own rows.

    Ctrl-C ends the programs on the devices; finished rows are yielded before KeyboardInterrupt is raised.
    """
    for name in request.runtimes:
        find_runtime(name)
    deployable = [found for found in request.artifacts if found.format != "keras"]
    request = replace(request, artifacts=deployable)
    if not deployable or not request.wanted:
        raise EdgeproofError("none of the given files runs on a device in the given runtimes: name .tflite or .onnx files")
    for found in deployable:
        request.pictures.of(found)  # an error of a data set concerns every device: it is raised first
    stopping = threading.Event()
    with ThreadPoolExecutor(len(devices)) as pool:
        runs = [_run_on(device)(device, request, _voice(say, device.name), stopping) for device in devices]
        futures = [pool.submit(device_run.measure) for device_run in runs]
        waiting, interrupted = set(futures), False
        while waiting:
            try:
                future = next(as_completed(waiting))
            except KeyboardInterrupt:
                interrupted = True
                stopping.set()
                for device_run in runs:
                    device_run.stop()
                continue
            waiting.remove(future)
            yield future.result()
    if interrupted:
        raise KeyboardInterrupt


def _run_on(device: Device) -> type[DeviceRun] | type[InterpreterRun]:
    """Return what measures on a device: over SSH, or in a microcontroller's interpreter on this machine."""
    return InterpreterRun if device.interpreter else DeviceRun


def _voice(say: Say, name: str) -> Say:
    return lambda text: say(f"[{name}] {printable(text)}")  # text from a device is untrusted
