"""What runs on a device: one picture through one model file. Needs only the standard library, numpy and Pillow."""
