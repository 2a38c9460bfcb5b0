"""Measurements of training itself, run by make."""
