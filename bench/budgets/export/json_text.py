"""Findings as JSON, with all fields, for scripts."""

import json
from collections.abc import Sequence

from bench.budgets.finding import Finding


def plain(findings: Sequence[Finding]) -> str:
    """Return a list with one object for each budget."""
    return json.dumps([finding.to_json() for finding in findings], indent=1, allow_nan=False) + "\n"
