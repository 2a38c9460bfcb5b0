"""Tests of bench/remote/browser/."""
