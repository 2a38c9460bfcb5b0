"""Measuring: accuracy, latency, memory and size of every artifact in every runtime, with their uncertainty."""
