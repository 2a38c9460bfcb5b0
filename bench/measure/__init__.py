"""Measuring artifacts in separate processes."""
