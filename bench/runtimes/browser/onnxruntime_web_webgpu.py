"""onnxruntime-web on WebGPU, in a browser, only where it is named. onnxruntime_web.js opens models with it."""

TITLE = "onnxruntime-web"
FORMATS = frozenset({"onnx"})
NPM_PACKAGE = "onnxruntime-web"
NATIVE = "onnxruntime"  # with whose answers a page's are compared
SCRIPT = "onnxruntime_web"
ACCELERATOR = "webgpu"
