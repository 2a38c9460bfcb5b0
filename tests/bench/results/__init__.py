"""Tests of bench/results/."""
