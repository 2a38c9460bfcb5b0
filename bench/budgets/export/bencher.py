"""Bencher Metric Format: a benchmark for each row, a measure for each figure, with the borders of its interval."""

import json
from collections.abc import Sequence

from bench.budgets.finding import Finding


def bencher(findings: Sequence[Finding]) -> str:
    """Return the document; findings without a measured value are left out."""
    document: dict[str, dict[str, dict[str, float]]] = {}
    for finding in findings:
        if finding.measured is None:
            continue
        figure = finding.limit.name.removeprefix("max_").removeprefix("min_").replace("_", "-").replace(" ", "-")
        values = {"value": finding.measured.value, "lower_value": finding.measured.low, "upper_value": finding.measured.high}
        document.setdefault(finding.subject, {})[figure] = values
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
