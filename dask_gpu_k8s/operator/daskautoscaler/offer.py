"""What one worker of a group offers, as far as its Pod's command says."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dask_gpu_k8s.api.types import Manifest

RESOURCES = "DASK_DISTRIBUTED__WORKER__RESOURCES"


@dataclass(frozen=True)
class Offer:
    """What a worker Pod offers to tasks.

    Attributes
    ----------
    resources : mapping
        Amounts by resource that each worker process offers.
    threads : int
        Threads of each process; 1 where the command does not say.
    processes : int
        Worker processes of the Pod; 1 where the command does not say.
    """

    resources: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1
    processes: int = 1


def offer_of(group: Manifest, resources: Mapping[str, float] | None = None) -> Offer:
    """Read what a worker of a group offers from its containers' command, args and environment.

    Parameters
    ----------
    group : Manifest
        The DaskWorkerGroup.
    resources : mapping, optional
        What is known better; an empty one says that there are none.
    """
    containers = (group["spec"]["worker"].get("spec") or {}).get("containers") or ()
    words = [word for container in containers for word in _words(container)]
    if resources is None:
        given = _option(words, "--resources")
        resources = _pairs(given) if given else _from_environment(containers)
    return Offer(
        dict(resources),
        _number(_option(words, "--nthreads")),
        _number(_option(words, "--nworkers") or _option(words, "--nprocs")),
    )


def _words(container: Manifest) -> list[str]:
    """Return the words of a command line, also of one that is a script for a shell."""
    words: list[str] = []
    for word in [*(container.get("command") or ()), *(container.get("args") or ())]:
        is_script = " " in word and "--" in word and not word.startswith("--")
        try:
            words += shlex.split(word, comments=True) if is_script else [word]
        except ValueError:
            words += word.split()
    return words


def _option(words: list[str], name: str) -> str:
    for place, word in enumerate(words):
        if word == name:
            return words[place + 1] if place + 1 < len(words) else ""
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def _pairs(text: str) -> dict[str, float]:
    """Read ``GPU=1 MEM=2`` as ``dask worker`` does."""
    found = {}
    for pair in text.replace(",", " ").split():
        name, _, amount = pair.partition("=")
        if (value := _amount(amount)) is not None:
            found[name] = value
    return found


def _from_environment(containers: Sequence[Manifest]) -> dict[str, float]:
    found: dict[str, float] = {}
    for variable in [each for container in containers for each in container.get("env") or ()]:
        name, value = str(variable.get("name")), str(variable.get("value") or "")
        if name == RESOURCES:
            found.update(_literal(value))
        elif name.startswith(f"{RESOURCES}__") and (amount := _amount(value)) is not None:
            # Dask makes such names small; a task that asks for GPU does not find a worker that offers gpu.
            found[name.removeprefix(f"{RESOURCES}__").lower()] = amount
    return found


def _literal(text: str) -> dict[str, float]:
    try:
        found = ast.literal_eval(text)
        return {str(name): float(amount) for name, amount in found.items()}
    except (AttributeError, SyntaxError, TypeError, ValueError):
        return {}


def _amount(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> int:
    return max(1, int(text)) if text.isdecimal() else 1
