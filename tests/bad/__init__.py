"""Bad inputs, made by a script: `python -m tests.bad DIR` writes them all, each named by its defect."""
