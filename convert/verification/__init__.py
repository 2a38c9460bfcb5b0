"""Verification that an artifact answers as its float model does: golden pictures and agreement."""
