"""Tests of device/pictures/."""
