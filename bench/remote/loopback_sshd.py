"""An SSH server on the loopback, as the current user, with keys of its own: for emulated devices and for the tests.

OpenSSH's sshd is used; it is found on PATH, in the system folders, or at EDGEPROOF_SSHD. Started by root it needs
what Debian's openssh-server package sets up (the user sshd).
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.remote.agent import die_with_parent
from common.files import scratch_folder
from device.errors import EdgeproofError

START_LIMIT_S = 20
PRIVILEGE_SEPARATION = Path("/run/sshd")  # an empty folder that root's sshd needs; it is made at boot


@dataclass(frozen=True)
class Loopback:
    """A running server and what a client needs."""

    port: int
    user: str
    key: Path
    known_hosts: Path
    process_id: int


def find_sshd() -> str:
    """Return the path of sshd. Raises EdgeproofError with what to install."""
    named = os.environ.get("EDGEPROOF_SSHD", "")
    found = shutil.which(named or "sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise EdgeproofError(f"{named or 'sshd'}: there is no SSH server: sudo apt install openssh-server")
    return found


@contextmanager
def loopback_server(environment: dict[str, str] | None = None) -> Iterator[Loopback]:
    """Run a server until the end of the block. Raises EdgeproofError where it is missing or does not start."""
    sshd = find_sshd()
    with scratch_folder() as folder:
        for key in ("host_key", "user_key"):
            _quiet(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)])
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        port = _free_port()
        host_key = (folder / "host_key.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
            "PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitUserRC no\n"
            "StrictModes no\nPermitRootLogin prohibit-password\nPrintMotd no\nLogLevel ERROR\nMaxStartups 100\n"
            + "".join(f'SetEnv {key}="{value}"\n' for key, value in (environment or {}).items())
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=die_with_parent,  # a killed run leaves no server
            )
        try:
            _wait_for(port, process, folder / "log")
            yield Loopback(port, getpass.getuser(), folder / "user_key", folder / "known_hosts", process.pid)
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    raise EdgeproofError(f"the SSH server on the loopback did not start: {said}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _quiet(command: list[str]) -> None:
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EdgeproofError(f"{command[0]} failed ({error}): install openssh-client") from error
