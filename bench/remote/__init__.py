"""Measuring on other machines, over SSH."""
