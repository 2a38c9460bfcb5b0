"""Small models in every format, made by the tests."""
