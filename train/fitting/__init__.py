"""One training: augmentation, fitting, checkpoints, prediction."""
