"""JUnit XML: one test case for each budget, with the elements and attributes that Ant's schema requires."""

import socket
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.budgets.export.lines import NOTHING_JUDGED, details, limit, measured, summary
from bench.budgets.finding import Finding
from common.verdict import Verdict

NOT_IN_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535), "�")


def junit(findings: Sequence[Finding], inconclusive: str | None = None, now: datetime | None = None) -> str:
    """Return a JUnit document. FAIL is a failure; a finding without a decision is skipped with its reason.

    INCONCLUSIVE is a failure if `inconclusive` is "fail".
    """
    failing = {Verdict.FAIL, Verdict.INCONCLUSIVE} if inconclusive == "fail" else {Verdict.FAIL}
    suite = _suite(
        now,
        tests=len(findings),
        failures=sum(finding.verdict in failing for finding in findings),
        skipped=sum(finding.verdict not in {*failing, Verdict.PASS} for finding in findings),
    )
    for finding in findings:
        _case(suite, finding, failing)
    return _document(suite, summary(findings))


def refused(reason: str, now: datetime | None = None) -> str:
    """Return a JUnit document with one error: why nothing was judged."""
    suite = _suite(now, tests=1, errors=1)
    case = ET.SubElement(suite, "testcase", {"classname": "edgeproof", "name": NOTHING_JUDGED, "time": "0"})
    ET.SubElement(case, "error", {"message": _clean(reason), "type": "refused"})
    return _document(suite, NOTHING_JUDGED)


def _suite(now: datetime | None, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0) -> ET.Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    suite = ET.Element("testsuite", {name: str(count) for name, count in counts.items()})
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S")
    for name, value in {"name": "budgets", "package": "edgeproof", "id": "0", "timestamp": stamp, "time": "0"}.items():
        suite.set(name, value)
    suite.set("hostname", _clean(socket.gethostname()) or "localhost")
    ET.SubElement(suite, "properties")
    return suite


def _document(suite: ET.Element, printed: str) -> str:
    ET.SubElement(suite, "system-out").text = printed
    ET.SubElement(suite, "system-err")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ET.Element, finding: Finding, failing: set[Verdict]) -> None:
    name = {
        "classname": _clean(finding.subject),
        "name": _clean(f"{finding.limit.name} ({finding.limit.place})"),
        "time": "0",
    }
    case = ET.SubElement(suite, "testcase", name)
    if finding.verdict is Verdict.PASS:
        return
    message = f"{finding.verdict.value}: {finding.limit.name} {limit(finding)}, {measured(finding)}"
    kind = {"type": finding.verdict.name} if finding.verdict in failing else {}
    element = ET.SubElement(
        case, "failure" if finding.verdict in failing else "skipped", {"message": _clean(message), **kind}
    )
    element.text = _clean("\n".join(part for part in (details(finding), finding.advice) if part))


def _clean(text: str) -> str:
    """Replace the characters that XML cannot hold."""
    return text.translate(NOT_IN_XML)
