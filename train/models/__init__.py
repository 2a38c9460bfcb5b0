"""One file a model, found by its name: each holds SPEC and build()."""
