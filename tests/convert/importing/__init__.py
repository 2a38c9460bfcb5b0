"""Tests of convert/importing/."""
