"""A diagnosis as lines for people."""

from collections.abc import Iterator, Sequence

from convert.doctor.checks import Finding
from convert.doctor.diagnose import Diagnosis, Examination
from convert.doctor.fix import Fix, describe
from convert.doctor.layer_error import LayerError, worst_first

COLUMNS = ("format", "layer", "operation", "SQNR alone dB", "accumulated dB", "corrected dB", "RMSE/scale", "weights dB")
LEFT_OUT_FIRST = ("operation", "weights dB", "accumulated dB")  # where the terminal is narrow
LEGEND = (
    "SQNR alone: of one layer, with the same input in both models (ONNX: rounding and clipping of its output). accumulated: "
    "with the errors of all earlier layers. corrected: accumulated, after bias correction. RMSE/scale: 0.29 is rounding, "
    "much more is clipping."
)


def layer_table(layers: Sequence[LayerError]) -> list[tuple[str, ...]]:
    """Return the table's rows, with the columns of COLUMNS, worst first."""
    return [
        (
            error.format,
            error.layer,
            error.operation,
            f"{error.alone_db:.1f}",
            f"{error.accumulated_db:.1f}",
            "–" if error.corrected_db is None else f"{error.corrected_db:.1f}",
            f"{error.rmse_over_scale:.2f}",
            "–" if error.weights_db is None else f"{error.weights_db:.1f}",
        )
        for error in worst_first(layers)
    ]


def notes(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield a line for each thing that was examined, with or without a finding."""
    for note in diagnosis.calibration_notes:
        yield f"calibration: {note}"
    for one in diagnosis.examinations:
        yield from (f"{_subject(one)}: {note}" for note in one.notes)


def findings(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield a line for each finding, or one that says that there is none."""
    for finding in diagnosis.calibration_findings:
        yield _line("calibration", finding)
    for one in diagnosis.examinations:
        yield from (_line(_subject(one), finding) for finding in one.findings)
    if not diagnosis.findings:
        yield "no finding"


def fix_line(one: Examination, fix: Fix, max_drop: float) -> str:
    """Return a line about what --fix did."""
    if fix.artifact is None:
        return f"{one.variant.key}: {describe(fix.paired, max_drop)}: needs no fix, nothing was written"
    floating = f"; in float: {', '.join(error.layer for error in fix.float_layers)}" if fix.float_layers else ""
    cures = ", ".join(fix.treatment.describe())
    return f"{fix.artifact.path}: {cures}{floating}; {describe(fix.paired, max_drop)}"


def _subject(one: Examination) -> str:
    return str(one.path) if one.written else f"{one.variant.key} (not converted yet, made for this examination)"


def _line(where: str, finding: Finding) -> str:
    return f"{finding.severity} {finding.name}: {where}: {finding.found}; expected {finding.expected}; {finding.todo}"
