"""What machine this is: everything that a measurement depends on besides the model. Absent is None, never "fine"."""

import os
import platform
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Environment:
    """A machine as bench.json records it."""

    host: str
    cpu: str
    cpu_flags: tuple[str, ...]  # those that decide about integer kernels
    cores: int
    memory_bytes: int
    os: str
    python: str
    governor: str | None
    git_commit: str | None
    health: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


KERNEL_FLAGS = frozenset(
    {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "i8mm", "fp16"}
)


def describe() -> Environment:
    """Look at this machine."""
    cpuinfo = _text(Path("/proc/cpuinfo")) or ""
    fields = dict(line.partition(":")[::2] for line in cpuinfo.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Environment(
        host=socket.gethostname(),
        cpu=fields.get("model name") or fields.get("Model") or platform.processor() or platform.machine(),
        cpu_flags=tuple(flag for flag in flags if flag in KERNEL_FLAGS),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        os=platform.platform(),
        python=platform.python_version(),
        governor=_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        git_commit=git_commit(),
        health={"load_1min": os.getloadavg()[0]},
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def git_commit() -> str | None:
    """Return the commit of this checkout, or None outside of one."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
