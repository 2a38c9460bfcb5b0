"""Emulated boards: an ARM user space under QEMU, and counting its instructions."""
