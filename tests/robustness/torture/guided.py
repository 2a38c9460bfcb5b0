"""Guided inputs: atheris (libFuzzer) changes good files and keeps those that reach code that no file reached before."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tests.conftest import ROOT
from tests.robustness.corpus.models import GOOD, good_tflite
from tests.robustness.torture.counts import Count

PART = "guided"
CASES = 20_000  # of each target
PROCESS_CASES = 4_000  # of one process: atheris's own memory grows by some 90 kB with each
MAX_S = 10  # of one case, as everywhere in the torture
MAX_MB = 1_000
PICTURES = GOOD.parent / "pictures"


def run(short: bool) -> list[Count]:
    """Give every target its cases, with one target for each processor at a time. It stops at the first lost case."""
    if short:
        return []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_fuzzed, seeds()))


def seeds() -> Mapping[str, list[bytes]]:
    """Return the good files that each target of _guided_target.py starts from."""
    return {
        "tflite": [GOOD.read_bytes()],
        "card": [good_tflite()[1].encode()],
        "toml": [path.read_bytes() for folder in ("bench", "convert") for path in (ROOT / folder).rglob("*.toml")],
        "results": [(ROOT / "data" / "baseline" / "bench.json").read_bytes()],
        "picture": [path.read_bytes() for path in sorted(PICTURES.rglob("*.*"))[:4]],
    }


def _fuzzed(target: str) -> Count:
    tried = lost = 0
    with tempfile.TemporaryDirectory(prefix="edgeproof-guided-") as name:
        corpus = Path(name) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(seeds()[target]):
            (corpus / f"seed{number}").write_bytes(data)
        while tried < CASES and not lost:
            command = [sys.executable, "-m", "tests.robustness.torture._guided_target", target, str(corpus)]
            command += [f"-runs={PROCESS_CASES}", f"-seed={1 + tried}", f"-artifact_prefix={name}/"]
            command += [f"-timeout={MAX_S}", f"-rss_limit_mb={MAX_MB}"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
            tried += PROCESS_CASES
            lost = int(done.returncode != 0)
        if lost:
            click.echo(done.stdout + done.stderr)
        for path in sorted(Path(name).glob("*-*")):  # crash-HASH, timeout-HASH, oom-HASH
            click.echo(f"LOST: {target}: {path.name}: {path.read_bytes()!r}")
        kept = len(list(corpus.iterdir()))
    return Count(PART, f"guided: {target}", tried, tried - lost, lost, f"{kept} kept for what they reach")
