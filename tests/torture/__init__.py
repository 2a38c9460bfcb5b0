"""Breaking edgeproof on purpose: `python -m tests.torture` runs every part and counts what survived."""
