"""Bias correction: quantization shifts the mean of each channel, and the layer's bias takes this shift back."""
