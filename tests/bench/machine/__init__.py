"""Tests of bench/machine/."""
