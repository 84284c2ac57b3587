"""Worker Pods that have lost what ties them to their group, and get it back."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Patch, patch_of
from dask_gpu_k8s.operator.objects.metadata import make_owner_reference


def mend(group: Manifest, pods: Iterable[Manifest]) -> list[Patch]:
    """Give back labels and owner, without which a worker is not seen, counted or collected.

    Parameters
    ----------
    group : Manifest
    pods : iterable of Manifest
        Its Pods, whatever they still bear.
    """
    cluster, meta = group["spec"]["cluster"], group["metadata"]
    fixed = labels.of_workers(cluster, meta["name"])
    return [
        patch_of(POD, pod, {"metadata": changes}, unchanged=True)
        for pod in pods
        if (changes := {**_labels(pod, fixed), **_owners(pod, group)})
    ]


def _labels(pod: Manifest, fixed: dict[str, str]) -> Manifest:
    own = pod["metadata"].get("labels") or {}
    missing = {key: value for key, value in fixed.items() if own.get(key) != value}
    return {"labels": missing} if missing else {}


def _owners(pod: Manifest, group: Manifest) -> Manifest:
    if pod["metadata"].get("ownerReferences"):
        return {}
    return {"ownerReferences": [make_owner_reference(group, DASKWORKERGROUP)]}
