"""Finding out why a quantized artifact answers differently from float, and repairing it."""
