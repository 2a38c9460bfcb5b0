"""Microcontrollers: boards, whether a model fits on one, and the C sources of a model."""
