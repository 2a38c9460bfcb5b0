"""Tests of convert/deployment/."""
