"""Tests of convert/verification/."""
