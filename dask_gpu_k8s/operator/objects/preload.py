"""The operator's preload in schedulers: what makes them say who has work for which workers.

Its text goes into the environment, so that any image will do and nothing has to be mounted. Dask logs what
it preloads, so the preload itself is one line that runs that text.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from importlib import resources
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import scheduler_container

PRELOAD = "DASK_DISTRIBUTED__SCHEDULER__PRELOAD"
ARGUMENTS = f"{PRELOAD}_ARGV"
TEXT = "OPERATOR_PRELOAD"
LINE = f'import os; exec(os.environ["{TEXT}"])'


def with_preload(spec: Manifest) -> Manifest:
    """Add the preload to the scheduler's container in a Pod spec, after those of the user.

    It is left out where it could do harm: Dask writes the line into a temporary file, for which a read-only
    container needs something mounted at ``/tmp``; and a value that comes from elsewhere cannot be added to.

    Parameters
    ----------
    spec : Manifest
        The Pod spec; it is not changed.
    """
    dask = scheduler_container(spec)
    containers = [
        _add(container) if container["name"] == dask and _is_safe(container) else container
        for container in spec["containers"]
    ]
    return {**spec, "containers": containers}


def _is_safe(container: Manifest) -> bool:
    given = {variable.get("name"): variable for variable in container.get("env") or ()}
    if any("value" not in given.get(name, {"value": ""}) for name in (PRELOAD, ARGUMENTS)):
        return False
    if ARGUMENTS in given and PRELOAD not in given:
        return False
    is_fixed = (container.get("securityContext") or {}).get("readOnlyRootFilesystem")
    mounts = {mount.get("mountPath") for mount in container.get("volumeMounts") or ()}
    return not is_fixed or "/tmp" in mounts


def _add(container: Manifest) -> Manifest:
    env = [variable for variable in container.get("env") or () if variable.get("name") != TEXT]
    given = {
        variable["name"]: _as_list(variable.get("value"))
        for variable in env
        if variable.get("name") in (PRELOAD, ARGUMENTS)
    }
    # As many lists of arguments as preloads, or one for all of them.
    arguments = given.get(ARGUMENTS, [])
    added = {
        PRELOAD: [*given.get(PRELOAD, []), LINE],
        ARGUMENTS: [*arguments, []] if any(isinstance(each, list) for each in arguments) else arguments,
    }
    if PRELOAD in given and ARGUMENTS not in given:
        del added[ARGUMENTS]
    kept = [variable for variable in env if variable["name"] not in added]
    values = [{"name": name, "value": json.dumps(value)} for name, value in added.items()]
    made = {**container, "env": [*kept, *values, {"name": TEXT, "value": _text()}]}
    for field in ("command", "args"):
        if "--preload" in (container.get(field) or ()):
            made[field] = _with_option(container[field])
    return made


def _with_option(words: list[str]) -> list[str]:
    """Put the preload before the user's own in a command line, for whose sake Dask ignores the variable."""
    place = words.index("--preload")
    return [*words[:place], "--preload", LINE, *words[place:]]


def _as_list(value: str | None) -> list[Any]:
    """Read a value as Dask reads its configuration from the environment."""
    try:
        found = ast.literal_eval(value or "")
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        found = value
    if isinstance(found, (list, tuple)):
        return [list(each) if isinstance(each, tuple) else each for each in found]
    return [found] if isinstance(found, str) and found else []


@cache
def _text() -> str:
    text = (
        resources.files("dask_gpu_k8s.operator.schedulers").joinpath("demand_preload.py").read_text("utf-8")
    )
    # Kubernetes replaces $(NAME) in a variable's value.
    assert "$(" not in text
    return text
