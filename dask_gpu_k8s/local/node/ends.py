"""How a run of a container ended, in the words of its status."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dask_gpu_k8s.local.node.facts import Ended
from dask_gpu_k8s.local.node.logs import Decoder

_LAST_BYTES = 2048


def ended(run: str, started: datetime | None, now: datetime, code: int, message: str) -> Ended:
    """Describe an end by its exit code, which is minus the signal if one killed the process."""
    signal = max(0, -code)
    exit_code = 128 + signal if signal else code
    reason = "Completed" if exit_code == 0 else "Error"
    return Ended(run, started, now, exit_code, reason, message, signal)


def start_error(error: OSError) -> str:
    """Say why a command could not be executed, as a container runtime does."""
    program = f'"{error.filename}"' if error.filename else "the command"
    if error.errno == errno.ENOENT and error.filename and "/" not in str(error.filename):
        return f"exec: {program}: executable file not found in $PATH"
    return f"exec: {program}: {os.strerror(error.errno or errno.EINVAL).lower()}"


def last_words(container: Mapping[str, Any], log: Path) -> str:
    """Return the end of the log where the container says that it is its message."""
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return ""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 2 * _LAST_BYTES))
        records = file.read()
    whole = records[records.find(b"\n") + 1 :] if len(records) == 2 * _LAST_BYTES else records
    return Decoder().decode(whole)[-_LAST_BYTES:].decode(errors="replace")
