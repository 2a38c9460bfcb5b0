"""Drawn inputs: what Hypothesis draws for tests/robustness/test_bad_inputs.py, but many more."""

import os
import re
import subprocess
import sys

import click

from tests.conftest import ROOT
from tests.robustness.torture.counts import Count

PART = "drawn"
CASES = 20_000  # of each test; the tests alone draw 300, and so does the short form


def run(short: bool) -> list[Count]:
    """Run the tests that draw, and count each test's cases: all survive, or the test has found one that does not."""
    if short:
        return []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        str(os.cpu_count()),
        "-rA",
        "-k",
        "drawn",
        "tests/robustness/test_bad_inputs.py",
    ]
    environment = {**os.environ, "EDGEPROOF_DRAWN": str(CASES)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    ended = re.findall(r"^(PASSED|FAILED|ERROR) \S+::test_(\w+)", done.stdout, re.MULTILINE)
    if any(end != "PASSED" for end, _ in ended) or not ended:
        click.echo(done.stdout + done.stderr)
    counts = []
    for end, name in sorted(ended, key=lambda one: one[1]):
        lost = int(end != "PASSED")  # it stops at the first
        counts.append(Count(PART, f"drawn: {name.replace('_', ' ')}", CASES, CASES - lost, lost))
    return counts or [Count(PART, "drawn: no test ran", 1, 0, 1)]
