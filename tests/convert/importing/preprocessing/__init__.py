"""Tests of convert/importing/preprocessing."""
