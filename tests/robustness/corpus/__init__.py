"""Bad inputs, made by a script: `python -m tests.robustness.corpus DIR` writes them all, each named by its defect."""
