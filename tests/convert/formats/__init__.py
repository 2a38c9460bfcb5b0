"""Tests of convert/formats/."""
