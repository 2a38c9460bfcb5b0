"""What a converter or a library says at length, in one line."""

import re

from device.runtimes import first_line

UNSUPPORTED = re.compile(r"'(tf\.\w+)' op is neither a custom op nor a flex op")
UNKNOWN_TO_ONNX = re.compile(r"No Op registered for (\w+)")
LINE_SHOWN = 300


def reason_of(error: Exception) -> str:
    """Return one line that tells what an exception of a library means."""
    text = str(error)
    if missing := sorted(set(UNSUPPORTED.findall(text))):
        return f"TFLite has no operation for {', '.join(missing)}: build the model without"
    if missing := sorted(set(UNKNOWN_TO_ONNX.findall(text))):
        return f"ONNX has no operation for TensorFlow's {', '.join(missing)}: build the model without"
    return shortened(first_line(error))


def shortened(line: str) -> str:
    """Return a library's line, cut where it is longer than people read."""
    return line if len(line) <= LINE_SHOWN else f"{line[:LINE_SHOWN]}…"
