"""Browsers of the tests."""
