"""The parent of a server: when that ends, in whatever way, nothing that it started stays.

It runs with nothing but the standard library, in a process of its own that has no name in common with the
server, so that who kills one by its name does not kill both. It makes a directory for the server and tells it
by ``--directory``; ``--lifeline`` is a descriptor that reads end-of-file if the watchdog itself is killed.
Orphans of the server's children become its own children, so that it finds them; so does a marker,
``NAME=value``, in their environment.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

_SERVER = "dask_gpu_k8s.local.serve"
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 10.0
"""Seconds after which a process that a SIGKILL does not end is given up."""


def main(arguments: list[str]) -> int:
    """Run a server to its end and clear up after it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--remove", action="append", default=[])
    parser.add_argument("folder")
    parser.add_argument("marker")
    options = parser.parse_args(arguments)
    adopt_orphans()
    directory = tempfile.mkdtemp(prefix="k8s-", dir=options.folder)
    try:
        return run(options.marker, directory)
    finally:
        sweep(options.marker)
        for path in options.remove:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        shutil.rmtree(directory, ignore_errors=True)


def adopt_orphans() -> None:
    """Become the parent of those whose parents below this process end."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(marker: str, directory: str) -> int:
    """Run a server to its end, passing on signals; return its exit code."""
    lifeline, held = os.pipe()
    command = [sys.executable, "-m", _SERVER, "--marker", marker, "--directory", directory]
    full = [*command, "--lifeline", str(lifeline)]
    server = subprocess.Popen(full, pass_fds=(lifeline,), start_new_session=True)
    os.close(lifeline)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(server.pid, signal.SIGTERM))
    # Whoever started this one waits for the server's answer and holds its input: both end with the server.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    while True:
        pid, status = os.wait()
        if pid == server.pid:
            server.returncode = os.waitstatus_to_exitcode(status)
            os.close(held)
            return server.returncode


def sweep(marker: str) -> None:
    """Kill all children, theirs, and all that carry the marker, until none is left."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = {*_children(), *_marked(marker)} - {os.getpid()}
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not found:
            return
        time.sleep(0.005)


def _children() -> list[int]:
    """Find the processes whose parent is this one."""
    own = str(os.getpid())
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            # The name, in parentheses, may hold anything; state and parent follow it.
            state, parent = file.read().rpartition(")")[2].split()[:2]
            if parent == own and state != "Z":
                found.append(int(pid))
    return found


def _marked(marker: str) -> list[int]:
    """Find the processes of this user that were started with the marker in their environment."""
    wanted = marker.encode() + b"\0"
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if wanted in file.read():
                found.append(int(pid))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
