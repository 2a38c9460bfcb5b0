"""Tests of bench/remote/."""
