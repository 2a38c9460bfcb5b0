"""LiteRT.js on WebGPU, in a browser, only where it is named. litert_web.js opens models with it."""

from bench.runtimes.browser.litert_web import FORMATS, NATIVE, NPM_PACKAGE, TITLE

__all__ = ["ACCELERATOR", "FORMATS", "NATIVE", "NPM_PACKAGE", "SCRIPT", "TITLE"]
SCRIPT = "litert_web"
ACCELERATOR = "webgpu"
