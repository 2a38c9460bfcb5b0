"""Tests of bench/runtimes/."""
