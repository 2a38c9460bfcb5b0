"""onnxruntime-web: onnxruntime as WebAssembly, in a browser. onnxruntime_web.js opens models with it."""

TITLE = "onnxruntime-web"
FORMATS = frozenset({"onnx"})
NPM_PACKAGE = "onnxruntime-web"
NATIVE = "onnxruntime"  # with whose answers a page's are compared
