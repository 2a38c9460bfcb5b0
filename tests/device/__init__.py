"""Tests of device/."""
