"""Which processes are running."""

import time
from pathlib import Path
from typing import Any

PATIENCE_S = 60  # for what must happen sometime: no test hangs on how fast it does


def eventually(condition: Any) -> bool:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.1)
    return False


def is_gone(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
