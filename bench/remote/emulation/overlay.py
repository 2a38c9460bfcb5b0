"""The files that a program on an emulated device sees in place of the host's: its user space, its processor, its job."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.remote.emulation.device import EmulatedDevice
from bench.remote.emulation.user_space import UserSpace
from common.files import cannot_write

JOB = "opt/edgeproof"  # one path for every job: paths are part of what is counted
CORES = 4
CPU_FILES = {
    "possible": f"0-{CORES - 1}",
    "present": f"0-{CORES - 1}",
    "online": f"0-{CORES - 1}",
    "kernel_max": f"{CORES - 1}",
}


@contextmanager
def overlay(device: EmulatedDevice, space: UserSpace, folder: Path | None = None) -> Iterator[Path]:
    """Yield the folder for QEMU's -L, with an empty JOB folder. It is temporary, or it is `folder` and stays."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="edgeproof-emulated-") as name:
            fill(Path(name), device, space)
            yield Path(name)
        return
    fill(folder, device, space)
    yield folder


def fill(folder: Path, device: EmulatedDevice, space: UserSpace) -> None:
    """Put the user space, /proc/cpuinfo, /sys and the job's folder into `folder`."""
    try:
        (folder / JOB).mkdir(parents=True, exist_ok=True)
        for entry in sorted(space.root.iterdir()):
            link = folder / entry.name
            if entry.name in ("opt", "proc", "sys") or link.is_symlink():
                continue
            link.symlink_to(entry.resolve())
        write_processor(folder, device)
    except OSError as error:
        raise cannot_write(folder, error) from error


def write_processor(folder: Path, device: EmulatedDevice) -> None:
    """Write the files that the runtimes' cpuinfo library reads: LiteRT crashes on the host's x86 files."""
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc" / "cpuinfo").write_text(
        "".join(_cpuinfo(device, core) for core in range(CORES)) + f"Model\t\t: {device.description}\n"
    )
    cpu = folder / "sys" / "devices" / "system" / "cpu"
    _write_all(cpu, CPU_FILES)
    everyone = f"0-{CORES - 1}"
    for core in range(CORES):
        of_core = cpu / f"cpu{core}"
        _write_all(of_core / "cpufreq", {"cpuinfo_max_freq": str(device.core.max_khz), "cpuinfo_min_freq": "600000"})
        shared = dict.fromkeys(("cluster_cpus_list", "core_siblings_list", "package_cpus_list"), everyone)
        own = {"physical_package_id": "0", "core_id": str(core), "thread_siblings_list": str(core)}
        _write_all(of_core / "topology", {**shared, **own})
        caches = (
            ("1", "Data", device.core.l1_data_kb, str(core)),
            ("1", "Instruction", device.core.l1_instruction_kb, str(core)),
            ("2", "Unified", device.core.l2_kb, everyone),
        )
        for number, (level, kind, size_kb, cores) in enumerate(caches):
            described = {"level": level, "type": kind, "size": f"{size_kb}K", "shared_cpu_list": cores}
            _write_all(of_core / "cache" / f"index{number}", {**described, "coherency_line_size": "64"})


def _cpuinfo(device: EmulatedDevice, core: int) -> str:
    architecture = 8 if device.target.bits == 64 else 7
    return (
        f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {device.core.features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: {architecture}\nCPU variant\t: 0x0\nCPU part\t: {device.core.part}\nCPU revision\t: 3\n\n"
    )


def _write_all(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
