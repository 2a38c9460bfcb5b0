"""Bencher Metric Format: a benchmark a row, a measure a budget's figure, with the borders of its interval."""

import json
from collections.abc import Sequence

from bench.verdict import Finding


def bencher(findings: Sequence[Finding]) -> str:
    """Return the document; findings without a measured value are not in it."""
    document: dict[str, dict[str, dict[str, float]]] = {}
    for finding in findings:
        if finding.measured is None:
            continue
        figure = finding.budget.removeprefix("max_").removeprefix("min_").replace("_", "-").replace(" ", "-")
        values = {"value": finding.measured.value, "lower_value": finding.measured.low, "upper_value": finding.measured.high}
        document.setdefault(finding.subject, {})[figure] = values
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
