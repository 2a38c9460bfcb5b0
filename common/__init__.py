"""Helpers of all stages: paths, atomic files, the lock, the command line's error handling, TOML, paired accuracy."""
