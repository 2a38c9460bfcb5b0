"""The device room: `classify.py` is the one file that is copied to a device."""
