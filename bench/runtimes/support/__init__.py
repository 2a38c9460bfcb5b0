"""Code that several runtimes share."""
