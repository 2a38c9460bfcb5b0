"""The agent on the device."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.remote import agent
from bench.remote.loopback_sshd import Loopback
from tests.conftest import ROOT
from tests.support.processes import PATIENCE_S, eventually, is_gone


def test_a_loopback_server_ends_with_the_run_that_started_it_even_when_that_is_killed(server: Loopback) -> None:
    assert server.port  # there is an sshd
    code = "import time\nfrom bench.remote.loopback_sshd import loopback_server\n"
    code += "with loopback_server() as server:\n    print(server.process_id, flush=True)\n    time.sleep(600)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process_id = int(process.stdout.readline())
        assert not is_gone(process_id)
        process.kill()
    assert eventually(lambda: is_gone(process_id))


class TestAgent:
    def test_is_written_for_python_3_7_and_the_standard_library_alone(self) -> None:
        tree = ast.parse(Path(agent.__file__).read_text(), feature_version=(3, 7))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert names <= set(sys.stdlib_module_names)

    def test_ends_by_itself_and_ends_its_command_when_its_client_falls_silent(self, tmp_path: Path) -> None:
        source = Path(agent.__file__).read_text().replace("QUIET_LIMIT_S = 60", "QUIET_LIMIT_S = 2")
        script = tmp_path / "far.py"
        script.write_text(source)
        busy = [
            sys.executable,
            "-c",
            f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)",
        ]
        requests = [{"id": 1, "op": "open", "folder": str(tmp_path / "f")}]
        requests += [{"id": 2, "op": "run", "argv": busy, "kill_after_s": 600}]
        with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
            process.stdin.flush()  # and it stays open: no end of file tells that nobody is there
            assert process.wait(PATIENCE_S) == 0
        assert not (tmp_path / "pid").exists() or eventually(lambda: is_gone(int((tmp_path / "pid").read_text() or 0)))

    def test_touches_nothing_outside_its_folder(self, tmp_path: Path) -> None:
        far = agent.Agent()
        far.folder = str(tmp_path / "f")
        for name in ("../x", "/etc/passwd", "a/../../x", ""):
            with pytest.raises(agent.RequestRefused, match="outside"):
                far.path(name)
