"""The agent: runs on a device during a run. It is sent over SSH and not stored; standard library only, Python 3.7 or newer.

It reads requests (a JSON object a line) on standard input and answers with JSON objects, a line each, on standard output.
It is the watchdog too: when standard input closes, when nothing arrives for QUIET_LIMIT_S (sshd's defaults do not
notice a client that is gone), or on SIGTERM or SIGHUP, it kills the command that it runs with all its children, removes
the file that it was writing, and ends, which frees the lock. All paths are relative to the run's folder.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import hashlib
import io
import json
import os
import platform
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from typing import IO, Any, NoReturn

QUIET_LIMIT_S = 60
LOCK_LOOK_S = 0.5
OUTPUT_LIMIT_BYTES = 64 << 20
TEXT_LIMIT_BYTES = 1 << 20  # of a file that is read at once
ERROR_TAIL = 4000
PR_SET_PDEATHSIG = 1


class RequestRefused(Exception):
    """A request that cannot be met: `kind` is for programs, the message for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Agent:
    """The state of one connection."""

    def __init__(self) -> None:
        self.folder = ""
        self.lock_file: IO[str] | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.temporary = ""
        self.heard_s = time.monotonic()
        self.requests: queue.Queue[dict[str, Any]] = queue.Queue()
        self.pending = b""
        self.saying = threading.Lock()

    # -- the connection

    def say(self, document: dict[str, Any]) -> None:
        """Send a JSON object as a line; stop where nobody listens any more."""
        data = json.dumps(document).encode() + b"\n"
        try:
            with self.saying:
                while data:
                    data = data[os.write(1, data) :]
        except OSError:
            self.stop()

    def receive(self) -> bytes:
        """Return the next bytes of standard input, or stop where it is closed or silent for too long."""
        while True:
            ready, _, _ = select.select([0], [], [], 1.0)
            if ready:
                data = os.read(0, 1 << 16)
                if not data:
                    self.stop()
                self.heard_s = time.monotonic()
                return data
            if time.monotonic() - self.heard_s > QUIET_LIMIT_S:
                self.stop()

    def read_line(self) -> bytes:
        """Return the next line of standard input, without its end."""
        while b"\n" not in self.pending:
            self.pending += self.receive()
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def listen(self) -> NoReturn:
        """Read requests for ever; a file is received here, since its bytes follow its request."""
        while True:
            request = json.loads(self.read_line())
            if request["op"] == "beat":
                continue
            if request["op"] == "put":
                self.answer(request)
            else:
                self.requests.put(request)

    def answer(self, request: dict[str, Any]) -> None:
        """Meet a request and send the result, or why it cannot be met."""
        try:
            found = getattr(self, "do_" + request["op"])(request)
            self.say({"id": request["id"], "ok": found})
        except RequestRefused as refusal:
            self.say({"id": request["id"], "error": {"kind": refusal.kind, "message": str(refusal)}})
        except OSError as error:
            kind = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "os"
            self.say({"id": request["id"], "error": {"kind": kind, "message": str(error)}})

    def stop(self, *_: object) -> NoReturn:
        """Kill the command, remove the file that is being written, and end."""
        self.kill_child()
        if self.temporary:
            remove(self.temporary)
        os._exit(0)

    def kill_child(self) -> None:
        """Kill the command that runs, with all its children."""
        child = self.child
        if child is not None and child.poll() is None:
            kill_group(child.pid)

    def path(self, name: str) -> str:
        """Return the whole path of a name in the run's folder; refuse one outside."""
        whole = os.path.normpath(os.path.join(self.folder, name))
        if not whole.startswith(self.folder + os.sep):
            raise RequestRefused("usage", "%s is outside the folder" % name)
        return whole

    # -- requests

    def do_open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the folder and describe this machine."""
        self.folder = os.path.abspath(os.path.expanduser(request["folder"]))
        os.makedirs(os.path.join(self.folder, "tmp"), exist_ok=True)
        return {
            "folder": self.folder,
            "host": platform.node(),
            "machine": platform.machine(),
            "bits": 64 if sys.maxsize > 2**32 else 32,
            "os": platform.platform(),
            "python": platform.python_version(),
            "glibc": libc_version(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "free_bytes": shutil.disk_usage(self.folder).free,
            "time_s": time.time(),
        }

    def do_lock(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait for the lock, which the kernel frees when its holder ends; then remove what dead runs have left."""
        # With "a" the file is neither emptied nor replaced: its content is the holder's name.
        handle = open(self.path("lock"), "a+")  # noqa: SIM115  # held until this process ends
        announced = None
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            handle.seek(0)
            holder = handle.read(1000)
            if holder != announced:
                announced = holder
                self.say({"event": "waiting", "text": holder})
            time.sleep(LOCK_LOOK_S)
        handle.seek(0)
        handle.truncate()
        handle.write(request["owner"])
        handle.flush()
        self.lock_file = handle
        for name in os.listdir(self.path("tmp")):
            remove(self.path(os.path.join("tmp", name)))
        return {}

    def do_have(self, request: dict[str, Any]) -> dict[str, Any]:
        """Say which files exist completely (by SHA-256), and which folders (they get their names when complete)."""
        found = []
        for name, digest in request["names"].items():
            path = self.path(name)
            if os.path.isdir(path) or (os.path.isfile(path) and file_digest(path) == digest):
                found.append(name)
        return {"have": found, "free_bytes": shutil.disk_usage(self.folder).free}

    def do_put(self, request: dict[str, Any]) -> dict[str, Any]:
        """Receive a file of `size` bytes that follow; it gets its name when it is complete and its hash is right."""
        left, digest = int(request["size"]), hashlib.sha256()
        failure: OSError | None = None
        file: IO[bytes] | None = None
        target = self.path(request["path"])
        try:
            handle, self.temporary = tempfile.mkstemp(dir=self.path("tmp"))
            file = os.fdopen(handle, "wb")
        except OSError as error:
            failure = error
        while left:  # to the end, even if the disk is full: the next request comes after it
            if not self.pending:
                self.pending = self.receive()
            data, self.pending = self.pending[:left], self.pending[left:]
            left -= len(data)
            digest.update(data)
            if file is not None and failure is None:
                try:
                    file.write(data)
                except OSError as error:
                    failure = error
        try:
            if file is not None:
                file.close()  # writing the buffer may find the disk full too
            if failure is not None:
                raise failure
            if digest.hexdigest() != request["sha256"]:
                raise RequestRefused("damaged", "%s arrived damaged" % request["path"])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if request.get("unpack"):
                self.unpack(self.temporary, target)
            else:
                os.replace(self.temporary, target)
        finally:
            remove(self.temporary)
            self.temporary = ""
        return {}

    def unpack(self, archive: str, target: str) -> None:
        """Unpack a ZIP archive without folders; its folder gets its name when it is complete."""
        folder = tempfile.mkdtemp(dir=self.path("tmp"))
        archive_path, self.temporary = archive, folder
        try:
            with zipfile.ZipFile(archive_path) as members:
                if any(name != os.path.basename(name) for name in members.namelist()):
                    raise RequestRefused("damaged", "an archive contains a folder")
                members.extractall(folder)
            remove(target)
            os.replace(folder, target)
        finally:
            remove(folder)
            self.temporary = archive_path

    def do_remove(self, request: dict[str, Any]) -> dict[str, Any]:
        """Remove files and folders."""
        for name in request["paths"]:
            remove(self.path(name))
        return {}

    def do_read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Read small files by pattern and outputs of commands; missing ones are left out."""
        commands = {}
        for command in request.get("commands", []):
            try:
                result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=10)
            except (OSError, subprocess.SubprocessError):
                continue
            if result.returncode == 0:
                commands[" ".join(command)] = result.stdout.decode("utf-8", "replace")
        return {"files": read_files(request["files"]), "commands": commands}

    def do_run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a command in a session of its own and read some files meanwhile. Returns its whole output."""
        began_s = time.monotonic()
        with tempfile.TemporaryFile(dir=self.path("tmp")) as output, tempfile.TemporaryFile(dir=self.path("tmp")) as errors:
            child = self.start(request["argv"], output, errors)
            timed_out, watched = self.wait(child, request, began_s)
            code = child.returncode
            kill_group(child.pid)  # no child of the command may outlive it
            self.child = None
            return {
                "code": code,
                "timed_out": timed_out,
                "output": tail(output, OUTPUT_LIMIT_BYTES),
                "errors": tail(errors, ERROR_TAIL),
                "watched": watched,
                "wall_s": time.monotonic() - began_s,
            }

    def start(self, argv: list[str], output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; from now on the watchdog kills it."""
        try:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise RequestRefused("missing", "%s cannot be started: %s" % (argv[0], error.strerror))
        return self.child

    def wait(
        self, child: subprocess.Popen[bytes], request: dict[str, Any], began_s: float
    ) -> tuple[bool, list[dict[str, str]]]:
        """Wait for the command's end, or end it after `kill_after_s`.

        Return whether it was ended, and what was read of the watched files, every `watch_every_s`.
        """
        timed_out, looked_s = False, began_s
        watched = []
        while child.poll() is None:
            now_s = time.monotonic()
            if now_s - began_s > request["kill_after_s"]:
                timed_out = True
                self.kill_child()
            if request.get("watch") and now_s - looked_s >= request["watch_every_s"]:
                looked_s = now_s
                watched.append(read_files(request["watch"]))
            try:
                child.wait(0.05 if now_s - began_s < 1 else 0.25)
            except subprocess.TimeoutExpired:
                pass
        return timed_out, watched


def kill_group(number: int) -> None:
    """Kill all processes of a group, if there are any."""
    try:
        os.killpg(number, signal.SIGKILL)
    except OSError:
        pass


def die_with_parent() -> None:
    """Let the kernel kill the command if this watchdog is killed."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        pass


def libc_version() -> str:
    """Return glibc's version, or "" with another C library."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[-1]
    except (ValueError, OSError, AttributeError, IndexError):
        return ""


def file_digest(path: str) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_files(patterns: list[str]) -> dict[str, str]:
    """Return the contents of small files by path; what cannot be read is left out."""
    found = {}
    for pattern in patterns:
        for path in sorted(glob.glob(pattern)):
            try:
                with open(path, "rb") as file:
                    found[path] = file.read(TEXT_LIMIT_BYTES).decode("utf-8", "replace").strip("\0\n ")
            except OSError:
                continue
    return found


def tail(file: IO[bytes], limit_bytes: int) -> str:
    """Return the last bytes of a file as text."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - limit_bytes))
    return file.read().decode("utf-8", "replace")


def remove(path: str) -> None:
    """Remove a file or a folder, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        os.remove(path)
    except OSError:
        pass


def main() -> NoReturn:
    """Answer requests until the connection closes."""
    agent = Agent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, agent.stop)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def listen() -> None:
        try:
            agent.listen()
        finally:
            agent.stop()  # whatever happened: without input the watchdog cannot work

    threading.Thread(target=listen, daemon=True).start()
    while True:
        agent.answer(agent.requests.get())


if __name__ in ("__main__", "agent"):
    main()
