"""From a picture to the model's input: the only preprocessing of the whole project."""
