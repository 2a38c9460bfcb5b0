"""Tests of bench/analysis/."""
