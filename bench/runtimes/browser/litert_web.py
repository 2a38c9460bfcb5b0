"""LiteRT.js: LiteRT as WebAssembly, in a browser. litert_web.js opens models with it."""

TITLE = "LiteRT.js"
FORMATS = frozenset({"tflite"})
NPM_PACKAGE = "@litertjs/core"
NATIVE = "litert"  # with whose answers a page's are compared
