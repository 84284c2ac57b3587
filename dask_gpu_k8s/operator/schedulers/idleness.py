"""Whether a scheduler has work: questions that change nothing there.

``check_idle`` is what the scheduler itself does four times a second anyway; its answer is since when there
was no work, also if some came and went between two questions. It is the scheduler's own ``idle-timeout``
that closes it, if the user has set one; it is not looked at here, let alone set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask_gpu_k8s.operator.schedulers.wire import Connection, WireError

NOBODY = ("fire-and-forget", "Client-worker-")
"""How clients are called that are no program of a user: a stand-in of the scheduler's, and those of tasks."""

ALL_BUT_CLIENTS = (
    "events", "extensions", "log", "memory", "task_groups", "tasks", "transition_log", "wants_what",
    "workers",
)  # fmt: skip
"""What a dump of a scheduler's state leaves out, so that clients are all that is left of it."""


async def idle_since(connection: Connection, *, clients: bool, data: bool) -> float | None:
    """Ask since when a scheduler is idle.

    Parameters
    ----------
    connection : Connection
    clients, data : bool
        Whether a connected client, and results in memory, count as work.

    Returns
    -------
    float or None
        Seconds since the epoch by the scheduler's clock; ``None`` while there is work.

    Raises
    ------
    WireError, EOFError, OSError
    """
    since = await connection.call("check_idle")
    if since is None or (data and await _has_results(connection)):
        return None
    if clients and await _has_clients(connection):
        return None
    if not isinstance(since, (int, float)):
        raise WireError(f"check_idle answered {since!r}")
    return float(since)


async def _has_results(connection: Connection) -> bool:
    states = await connection.call("get_task_prefix_states")
    return any(counts.get("memory") for counts in _mapping(states).values())


async def _has_clients(connection: Connection) -> bool:
    state = await connection.call("dump_state", exclude=ALL_BUT_CLIENTS)
    return any(not name.startswith(NOBODY) for name in _mapping(_mapping(state).get("clients")))


def _mapping(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise WireError(f"a mapping was expected, not {answer!r}")
    return answer
