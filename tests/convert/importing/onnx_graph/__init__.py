"""Tests of convert/importing/onnx_graph."""
