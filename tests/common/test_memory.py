"""Memory that a process frees."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

BLOCK_BYTES, TIMES = 100_000_000, 5

FAULTS = f"""
import ctypes, resource, sys
from common.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def use():
    block = c.malloc({BLOCK_BYTES})
    ctypes.memset(block, 1, {BLOCK_BYTES})
    c.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TIMES}):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    """Use and free a large block several times, in a process of its own, and return the page faults after the first time."""
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, cwd=Path(ROOT), capture_output=True, text=True, check=True).stdout)


def test_kept_memory_is_used_again_without_asking_the_system() -> None:
    assert page_faults("keep") < page_faults("give back") / 10
