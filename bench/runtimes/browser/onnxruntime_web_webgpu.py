"""onnxruntime-web on WebGPU, in a browser, only where it is named. onnxruntime_web.js opens models with it."""

from bench.runtimes.browser.onnxruntime_web import FORMATS, NATIVE, NPM_PACKAGE, TITLE

__all__ = ["ACCELERATOR", "FORMATS", "NATIVE", "NPM_PACKAGE", "SCRIPT", "TITLE"]
SCRIPT = "onnxruntime_web"
ACCELERATOR = "webgpu"
