"""Findings as JSON, everything in it, for scripts."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from bench.verdict import Finding


def plain(findings: Sequence[Finding]) -> str:
    """Return a list with one object a budget."""
    return json.dumps([{**asdict(f), "verdict": f.verdict.value} for f in findings], indent=1, allow_nan=False) + "\n"
