"""Reading and writing artifacts: TFLite, ONNX, their metadata and cards."""
