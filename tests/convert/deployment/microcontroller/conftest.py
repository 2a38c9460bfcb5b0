"""Compilers, where this machine has them."""

import shutil

import pytest


@pytest.fixture
def gcc() -> str:
    """Return a C compiler; without one the test is skipped."""
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler is here")
    return found


@pytest.fixture
def cxx() -> str:
    """Return a C++ compiler; without one the test is skipped."""
    found = shutil.which("g++") or shutil.which("c++")
    if found is None:
        pytest.skip("no C++ compiler is here")
    return found
