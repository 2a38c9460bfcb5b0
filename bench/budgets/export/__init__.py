"""Findings of `check` and `gate` in other formats: one file for each format, from findings to text."""
