"""Tests of convert/deployment/microcontroller/."""
