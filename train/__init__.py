"""The training room: data, model specifications and the training recipes."""
