"""Tests of convert/importing/sources."""
