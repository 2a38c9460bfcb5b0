"""A bench run on several devices at once, each reached in its own way."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

from bench.remote.browser.run import BrowserRun
from bench.remote.device_config import Device
from bench.remote.device_part import DevicePart
from bench.remote.microcontroller.run import InterpreterRun
from bench.remote.request import DeviceOutcome, Request, Say
from bench.remote.run import DeviceRun
from bench.runtimes import described
from device.errors import EdgeproofError
from device.safe_text import printable


def run(devices: Sequence[Device], request: Request, say: Say) -> Iterator[DeviceOutcome]:
    """Measure on all devices side by side; yield each outcome when it is done. A device that fails loses only its own rows.

    Browsers come first, one at a time: their times count, and they share this machine with emulated devices.
    Ctrl-C ends the programs on the devices; finished rows are yielded before KeyboardInterrupt is raised.
    """
    request = _deployable(request, devices)
    stopping = threading.Event()
    runs = [_run_on(device)(device, request, _voice(say, device.name), stopping) for device in devices]
    groups: list[list[AnyRun]] = [[one] for one in runs if isinstance(one, BrowserRun)]
    groups.append([one for one in runs if not isinstance(one, BrowserRun)])
    for group in filter(None, groups):
        yield from _run_group(group, stopping)
        if stopping.is_set():
            raise KeyboardInterrupt


AnyRun = DevicePart[Any]


def _deployable(request: Request, devices: Sequence[Device]) -> Request:
    """Return the request without files that run on no device. Raises EdgeproofError where a device is left without any."""
    for name in request.runtimes:
        described(name)
    request = replace(request, artifacts=[found for found in request.artifacts if found.format != "keras"])
    without = not request.wanted and not all(device.browser for device in devices)
    if not request.artifacts or without:
        raise EdgeproofError("none of the given files runs on a device in the given runtimes: name .tflite or .onnx files")
    for found in request.artifacts:
        request.pictures.of(found)  # an error of a data set concerns every device: it is raised first
    return request


def _run_group(runs: Sequence[AnyRun], stopping: threading.Event) -> Iterator[DeviceOutcome]:
    """Measure on some devices at once; Ctrl-C sets `stopping`, and each then finishes what it keeps."""
    with ThreadPoolExecutor(len(runs)) as pool:
        waiting = {pool.submit(device_run.measure) for device_run in runs}
        while waiting:
            try:
                future = next(as_completed(waiting))
            except KeyboardInterrupt:
                stopping.set()
                for device_run in runs:
                    device_run.stop()
                continue
            waiting.remove(future)
            yield future.result()


def _run_on(device: Device) -> type[DeviceRun | InterpreterRun | BrowserRun]:
    """Return what measures on a device: over SSH, or on this machine in a browser or a microcontroller's interpreter."""
    if device.browser:
        return BrowserRun
    return InterpreterRun if device.interpreter else DeviceRun


def _voice(say: Say, name: str) -> Say:
    return lambda text: say(f"[{name}] {printable(text)}")  # text from a device is untrusted
