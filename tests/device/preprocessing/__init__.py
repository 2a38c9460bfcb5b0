"""Tests of device/preprocessing/."""
