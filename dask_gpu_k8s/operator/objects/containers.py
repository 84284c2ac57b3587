"""What the operator adds to the containers of a user's pod spec. It changes nothing that the user has set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest

COMM_PORT = 8786
COMM_PORT_NAME = "tcp-comm"

MODERN_COMMANDS = {"dask-scheduler": ("dask", "scheduler"), "dask-worker": ("dask", "worker")}
"""Programs that left distributed in 2026.6.0, and what every supported version has instead."""


def make_pod_spec(
    spec: Manifest, *, env: Mapping[str, str] | None = None, legacy_commands: bool = True
) -> Manifest:
    """Make the spec of a Pod from the one in a Dask resource.

    Parameters
    ----------
    spec : Manifest
        The user's pod spec; it is not changed.
    env : mapping, optional
        Environment variables for every container that does not set them itself.
    legacy_commands : bool, optional
        Whether to write `dask scheduler` and `dask worker` for the programs of old.

    Returns
    -------
    Manifest
        A new pod spec. Service links are off unless the user asked for them: they would put variables
        named after the namespace's Services into every container, and Dask reads each ``DASK_...`` as
        configuration.
    """
    containers = [
        _make_container(container, env or {}, legacy_commands) for container in spec.get("containers") or ()
    ]
    return {"enableServiceLinks": False, **spec, "containers": containers}


def comm_port_of(spec: Manifest, field: str = "containerPort") -> int:
    """Find the port on which a scheduler talks to workers and clients.

    Parameters
    ----------
    spec : Manifest
        A pod spec, or a service spec with ``field="port"``.
    field : str, optional
        Name of the number in a port entry.

    Returns
    -------
    int
        The port named ``tcp-comm``, else 8786.
    """
    parts = spec.get("containers") or [spec]
    for part in parts:
        for port in part.get("ports") or ():
            if port.get("name") == COMM_PORT_NAME and isinstance(port.get(field), int):
                return int(port[field])
    return COMM_PORT


def scheduler_container(spec: Manifest) -> str:
    """Name the container of a scheduler's Pod that runs Dask.

    It is the one with the scheduler's port, else the one that is called so, else the first.
    """
    containers = spec["containers"]
    for container in containers:
        if any(port.get("name") == COMM_PORT_NAME for port in container.get("ports") or ()):
            return str(container["name"])
    given = [str(container["name"]) for container in containers]
    return labels.SCHEDULER if labels.SCHEDULER in given or not given else given[0]


def _make_container(container: Manifest, env: Mapping[str, str], legacy_commands: bool) -> Manifest:
    # The status of a Pod that has failed then has the end of its log, also for those who may read no logs.
    made = {"terminationMessagePolicy": "FallbackToLogsOnError", **container}
    if legacy_commands:
        made.update(_modern_command(container))
    if env or "env" in container:
        made["env"] = with_variables(container.get("env") or (), env)
    return made


def with_variables(given: Sequence[Manifest], added: Mapping[str, str]) -> list[Manifest]:
    """Return the variables of a container, and before them others that are not among them.

    Before them, because the user's own may refer to the others as ``$(NAME)``, and only backwards works.
    """
    names = {variable.get("name") for variable in given}
    return [*({"name": name, "value": value} for name, value in added.items() if name not in names), *given]


def _modern_command(container: Manifest) -> dict[str, Any]:
    command = container.get("command") or []
    args = container.get("args") or []
    changed: dict[str, Any] = {}
    if command and command[0] in MODERN_COMMANDS:
        changed["command"] = [*MODERN_COMMANDS[command[0]], *command[1:]]
    if args and args[0] in MODERN_COMMANDS and not _is_shell(command):
        changed["args"] = [*MODERN_COMMANDS[args[0]], *args[1:]]
    return changed


def _is_shell(command: list[str]) -> bool:
    """Say whether the first argument after this command is a script, not a word."""
    last = command[-1] if command else ""
    return last.startswith("-") and not last.startswith("--") and last.endswith("c")
