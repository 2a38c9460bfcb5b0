"""Errors that a command turns into one line, and exit codes."""

from __future__ import annotations

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


class EdgeproofError(Exception):
    """Unusable input or wrong usage: the message says what, what was found and what to do. The command ends with 2."""

    exit_code = EXIT_USAGE


class CheckFailed(EdgeproofError):
    """Something requested failed although the input was usable. The command ends with 1."""

    exit_code = EXIT_FAILED


class CardError(EdgeproofError):
    """The card in a model file is missing, damaged, or does not belong to the model."""


class PictureError(EdgeproofError):
    """A file that cannot be read as a picture, or a picture that the steps cannot use."""


class NoDigit(PictureError):
    """No ink was found in the picture."""


class SeveralDigits(PictureError):
    """More than one digit was found in the picture."""


class ModelError(EdgeproofError):
    """A model file that cannot be read or that a runtime refuses."""


class RuntimeMissing(EdgeproofError):
    """A runtime that is not installed here."""
