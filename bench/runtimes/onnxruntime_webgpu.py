"""onnxruntime's WebGPU provider, a plug-in beside any onnxruntime: over Vulkan."""

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from bench.runtimes import Session
from bench.runtimes.support.onnx_accelerator import AcceleratedOnnxSession
from common.extras import how_to_add
from device.card import Card
from device.errors import RuntimeMissing

TITLE = "onnxruntime"
FORMATS = frozenset({"onnx"})
DISTRIBUTIONS = ("onnxruntime-ep-webgpu",)
API = "vulkan"
NAME, PLUGIN, PROVIDER = "onnxruntime_webgpu", "onnxruntime_ep_webgpu", "WebGpuExecutionProvider"
# onnxruntime offers the plug-in the GPUs on the PCI bus; with this setting, also if there are none. The plug-in
# itself takes the Vulkan device anyway, and a software device only if there is no other.
WITHOUT_PCI_DEVICE = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"


def check_installed() -> None:
    """Raise RuntimeMissing where onnxruntime or the plug-in is not installed."""
    for module, package in (("onnxruntime", "onnxruntime"), (PLUGIN, "onnxruntime-ep-webgpu")):
        if importlib.util.find_spec(module) is None:
            raise RuntimeMissing(f"{package} is not installed here: {how_to_add('webgpu')}, or `make bench-gpu`")


def import_library() -> None:
    """Import onnxruntime and the plug-in."""
    check_installed()
    importlib.import_module("onnxruntime")
    importlib.import_module(PLUGIN)


def _choose(ort: Any, options: Any) -> list[str]:
    os.environ[WITHOUT_PCI_DEVICE] = "1"
    plugin = importlib.import_module(PLUGIN)
    if not any(device.ep_name == PROVIDER for device in ort.get_ep_devices()):
        ort.register_execution_provider_library("webgpu", plugin.get_library_path())
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    if not devices:
        raise RuntimeMissing("onnxruntime's WebGPU provider finds no device: can libvulkan.so.1 be loaded?")
    options.add_provider_for_devices(devices[:1], {})  # it accepts one and chooses the GPU itself
    return []


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open an `.onnx` with every node on WebGPU."""
    session = AcceleratedOnnxSession(path, card, threads, NAME, PROVIDER, API, _choose)
    session.fit(path, card)
    return session
