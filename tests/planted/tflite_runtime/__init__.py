"""A runtime that does what the name of its model says: put tests/planted on PYTHONPATH before the real one."""
