"""A job's runner beside the scheduler, in one Pod."""

from __future__ import annotations

from dask_gpu_k8s.api.types import Manifest

_LISTS = ("containers", "initContainers", "volumes", "imagePullSecrets", "tolerations")


def beside_scheduler(cluster_spec: Manifest, role: Manifest, runner: Manifest) -> Manifest:
    """Put a runner into the scheduler's Pod of a DaskCluster.

    The Pod restarts as the runner's would, because a restart policy is a Pod's: by default never, so that
    the runner's end is final. A scheduler lost there is not made again: the runner would run twice.

    Parameters
    ----------
    cluster_spec : Manifest
        The ``spec`` of the DaskCluster; not changed.
    role : Manifest
        ``spec.job`` of the DaskJob; its metadata goes to the Pod, where the scheduler's own does not win.
    runner : Manifest
        Pod spec of the runner. Where both say something, the scheduler's holds.
    """
    scheduler = cluster_spec["scheduler"]
    made = {
        **scheduler,
        "metadata": _metadata(role.get("metadata") or {}, scheduler.get("metadata") or {}),
        "spec": _pod_spec(scheduler["spec"], runner),
        "lossPolicy": "Fail",
    }
    return {**cluster_spec, "scheduler": made}


def _metadata(runner: Manifest, scheduler: Manifest) -> Manifest:
    return {
        field: {**(runner.get(field) or {}), **(scheduler.get(field) or {})}
        for field in ("labels", "annotations")
    }


def _pod_spec(scheduler: Manifest, runner: Manifest) -> Manifest:
    made = {**runner, **scheduler, "restartPolicy": runner["restartPolicy"]}
    for field in _LISTS:
        own = scheduler.get(field) or []
        taken = {each["name"] for each in own if field == "volumes"}
        made[field] = [*own, *(each for each in runner.get(field) or [] if each.get("name") not in taken)]
    return {key: value for key, value in made.items() if value or key not in _LISTS}
