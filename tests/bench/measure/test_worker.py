"""What a worker measures beside the latencies."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.measure import worker
from bench.measure.worker import Begun, Startup


def test_a_system_that_does_not_say_the_memory_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """gVisor's /proc/self/status has no VmHWM; 0 stands for "not known"."""
    monkeypatch.setattr(worker, "peak_rss_bytes", lambda: None)
    session = SimpleNamespace(infer=lambda _: None)
    startup = Startup(session, import_ns=1, load_ns=2, tensors=[np.zeros(1)])
    found = Begun.now(startup).finished(startup, None, [])
    assert found["peak_rss_bytes"] == 0
    assert found["startup_ns"][:2] == [1, 2]
