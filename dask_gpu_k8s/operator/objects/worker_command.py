"""The annotation by which the workers of a DaskJob get another program, where its author cannot say so.

Flyte writes `dask-worker` whatever the image holds; with `dask cuda worker` in the annotation its users get
GPU workers. The options that follow stay.
"""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api.types import Manifest

PROGRAMS = (("dask", "cuda", "worker"), ("dask", "worker"), ("dask-cuda-worker",), ("dask-worker",))
"""What counts as a worker's program, the longer first."""


def with_worker_command(cluster_spec: Manifest, words: list[str]) -> Manifest:
    """Replace the program of the workers in the ``spec`` of a DaskCluster; without `words` leave it."""
    if not words:
        return cluster_spec
    worker = cluster_spec["worker"]
    containers = [
        {**container, **_replaced(container, words)} for container in worker["spec"].get("containers") or ()
    ]
    return {**cluster_spec, "worker": {**worker, "spec": {**worker["spec"], "containers": containers}}}


def _replaced(container: Manifest, words: list[str]) -> dict[str, Any]:
    """Return the field of a container whose first words are a worker's program, with other ones."""
    for field in ("command", "args"):
        given = container.get(field) or []
        for program in PROGRAMS:
            if tuple(given[: len(program)]) == program:
                return {field: [*words, *given[len(program) :]]}
    return {}
