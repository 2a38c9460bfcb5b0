"""Mutation testing: change one place of the code, and check whether a test fails.

`python -m tests.tools.mutants`, or `make mutants`. This is our own code because no library
does all of it. mutmut 3.8 leaves out decorated functions (every property here) and code outside functions. cosmic-ray 8.7
starts Python again for each mutant and changes the working tree. Neither takes a seeded sample.
"""
