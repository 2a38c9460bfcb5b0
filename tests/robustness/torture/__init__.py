"""Trying to break edgeproof: `python -m tests.robustness.torture` runs every part and counts what survived."""
