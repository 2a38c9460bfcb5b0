"""A browser as a device: pages on the loopback that open a model, answer pictures and time inferences."""
