"""Searches of the tests: made-up trials, and recorded ones."""
