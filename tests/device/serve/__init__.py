"""Tests of `classify.py --serve`."""
