"""Which DaskAutoscaler serves a worker group, and what it wants of it."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.pods import is_terminating


def group_of(autoscaler: Manifest) -> str:
    """Name the worker group that an autoscaler is for."""
    return names.autoscaled_group(autoscaler["spec"])


def server_of(group: Manifest | None, autoscalers: Iterable[Manifest]) -> Manifest | None:
    """Return the autoscaler that serves a group: of several the oldest, or ``None``.

    Parameters
    ----------
    group : Manifest, optional
    autoscalers : iterable of Manifest
        Those of the group's namespace, or more.
    """
    if group is None:
        return None
    meta = group["metadata"]
    fitting = [
        each
        for each in autoscalers
        if group_of(each) == meta["name"]
        and each["spec"]["cluster"] == group["spec"]["cluster"]
        and each["metadata"]["namespace"] == meta["namespace"]
        and each["spec"]["minimum"] <= each["spec"]["maximum"]
        and not is_terminating(each)
    ]
    return min(fitting, key=_age, default=None)


def as_wanted(group: Manifest, autoscaler: Manifest | None) -> Manifest:
    """Return a group as its autoscaler wants it; without one, or before its first decision, as it is.

    A group is not what its own ``replicas`` say while it is served: so whoever applies an old manifest again
    neither ends nor starts a worker, until the autoscaler has put the number back.
    """
    wanted = ((autoscaler or {}).get("status") or {}).get("desiredReplicas")
    worker = group["spec"]["worker"]
    if wanted is None or worker.get("replicas") == wanted:
        return group
    return {**group, "spec": {**group["spec"], "worker": {**worker, "replicas": wanted}}}


def _age(autoscaler: Manifest) -> tuple[str, str]:
    meta = autoscaler["metadata"]
    return str(meta.get("creationTimestamp") or ""), str(meta["name"])
