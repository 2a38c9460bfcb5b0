"""Measured rows: bench.json, bench.npz, the history."""
