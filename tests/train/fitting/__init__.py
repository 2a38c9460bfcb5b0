"""Tests of train/fitting/."""
