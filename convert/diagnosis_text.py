"""The doctor's words: a diagnosis as lines for people."""

from collections.abc import Iterator, Sequence

from convert.checks import Finding
from convert.doctor import Diagnosis, Examination
from convert.fix import Fix, describe
from convert.layer_error import LayerError, worst_first

COLUMNS = ("format", "layer", "operation", "SQNR alone dB", "accumulated dB", "RMSE/scale", "weights dB")
LEGEND = (
    "SQNR alone: the layer with the same input in both (ONNX: its output's rounding and clipping); accumulated: from the "
    "picture on; RMSE/scale: 0.29 is rounding, far over it is clipping"
)


def layer_table(layers: Sequence[LayerError]) -> list[tuple[str, ...]]:
    """Return the rows under COLUMNS, worst first."""
    return [
        (
            error.format,
            error.layer,
            error.operation,
            f"{error.alone_db:.1f}",
            f"{error.accumulated_db:.1f}",
            f"{error.rmse_over_scale:.2f}",
            "–" if error.weights_db is None else f"{error.weights_db:.1f}",
        )
        for error in worst_first(layers)
    ]


def notes(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield what was looked at, healthy or not."""
    for note in diagnosis.calibration_notes:
        yield f"calibration: {note}"
    for one in diagnosis.examinations:
        yield from (f"{_subject(one)}: {note}" for note in one.notes)


def findings(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield one line a finding, or one that there is none."""
    for finding in diagnosis.calibration_findings:
        yield _line("calibration", finding)
    for one in diagnosis.examinations:
        yield from (_line(_subject(one), finding) for finding in one.findings)
    if not diagnosis.findings:
        yield "no finding"


def fix_line(one: Examination, fix: Fix, max_drop: float) -> str:
    """Return what --fix did."""
    if fix.artifact is None:
        return f"{one.variant.key}: {describe(fix.paired, max_drop)}: needs no fix, nothing written"
    layers = ", ".join(error.layer for error in fix.float_layers)
    return f"{fix.artifact.path}: float are {layers}; {describe(fix.paired, max_drop)}"


def _subject(one: Examination) -> str:
    return str(one.path) if one.written else f"{one.variant.key} (not converted yet, made for this)"


def _line(where: str, finding: Finding) -> str:
    return f"{finding.severity} {finding.name}: {where}: {finding.found}; expected {finding.expected}; {finding.todo}"
