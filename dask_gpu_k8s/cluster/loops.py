"""One event loop in one thread for all synchronous clusters of a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

# Starting and stopping are one at a time: a loop that is about to stop must not be handed out.
_lock = threading.RLock()
_shared: tuple[int, Any] | None = None


def start_on_shared_loop(make_runner: Callable[[Any], Any]) -> None:
    """Start a LoopRunner on the shared loop, which its first user brings into being.

    Parameters
    ----------
    make_runner : callable
        Makes a ``distributed.utils.LoopRunner`` from the loop to use, or from ``None`` for a new one.
    """
    global _shared
    with _lock:
        runner = make_runner(_running_loop())
        runner.start()
        _shared = (os.getpid(), runner.loop)


def stop(runner: Any) -> None:
    """Leave the loop; its last user ends it, and its thread."""
    with _lock:
        runner.stop()


def _running_loop() -> Any:
    if _shared is None:
        return None
    pid, loop = _shared
    # In a forked child the thread does not exist, whatever the loop believes.
    return loop if pid == os.getpid() and loop.asyncio_loop.is_running() else None
