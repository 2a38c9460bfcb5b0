"""Tests of convert/doctor/."""
