"""The machine: everything that a measurement depends on besides the model. An unknown figure is None."""

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from bench.machine.kernel_files import text_of
from common.counts import counted
from common.json_record import Omitted, Record
from common.version import VERSION


@dataclass(frozen=True, kw_only=True)
class Environment(Record):
    """A machine as bench.json records it. An unknown figure is None."""

    host: str | None = None
    cpu: str
    cpu_flags: tuple[str, ...]  # those that integer kernels depend on
    cores: float
    memory_bytes: float
    os: str
    python: str
    governor: str | None = None
    git_commit: str | None = None
    edgeproof: Annotated[str | None, Omitted] = None  # the version that measured
    health: Mapping[str, Any] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """Return what identifies the machine, for people: "pi4, Raspberry Pi 4 Model B, 4 cores"."""
        return ", ".join(part for part in (self.host, self.cpu, counted(int(self.cores), "core")) if part)

    def is_same_machine(self, other: "Environment") -> bool:
        """Say whether two descriptions are of one machine, or of two that are alike: by CPU and cores.

        Clock, load, memory, system and Python change on the same machine, and each container has a host name of its own.
        """
        return (self.cpu, self.cores) == (other.cpu, other.cores)


KERNEL_FLAGS = frozenset(
    {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16", "neon", "asimd", "asimddp", "i8mm", "fp16"}
)


def describe() -> Environment:
    """Describe this machine."""
    cpuinfo = text_of(Path("/proc/cpuinfo")) or ""
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
        governor=text_of(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        git_commit=git_commit(),
        edgeproof=VERSION,
        health={"load_1min": os.getloadavg()[0]},
    )


def git_commit() -> str | None:
    """Return the commit of this checkout, or None outside of one."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
