"""Tests of convert/bias_correction/."""
