"""ONNX files of other exporters: read as untrusted files, described, and rewritten to take pixels 0..255 (N, H, W, C)."""
