"""A stand-in for tflite-micro, in the layout of its wheel: put this folder's parent on PYTHONPATH."""
