"""Tests of bench/remote/emulation/."""
