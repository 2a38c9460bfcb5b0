"""LiteRT.js on WebGPU, in a browser, only where it is named. litert_web.js opens models with it."""

TITLE = "LiteRT.js"
FORMATS = frozenset({"tflite"})
NPM_PACKAGE = "@litertjs/core"
NATIVE = "litert"  # with whose answers a page's are compared
SCRIPT = "litert_web"
ACCELERATOR = "webgpu"
