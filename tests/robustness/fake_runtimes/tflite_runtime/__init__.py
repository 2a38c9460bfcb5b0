"""A fake runtime that does what the name of its model says: put this folder's parent on PYTHONPATH before the real one."""
