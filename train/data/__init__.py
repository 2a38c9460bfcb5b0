"""Pictures with labels: MNIST, folders, calibration pictures."""
