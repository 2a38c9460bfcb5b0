"""Training: data, model specifications and the training recipes."""
