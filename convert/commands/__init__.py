"""The commands of `python -m convert`."""
