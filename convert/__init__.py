"""Converting: from a trained Keras model to verified artifacts, each with its card inside."""
