"""Tests of bench/artifacts/."""
