"""Tests of bench/remote/microcontroller/."""
