"""DaskJobs whose Pods run nowhere: the test says what becomes of their runners, as a kubelet would."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from tests.integration.operator.conftest import a_cluster, eventually

BEGAN, ENDED = "2026-01-31T11:00:00Z", "2026-01-31T11:05:00Z"
RUNNER = "job-runner"


def a_job(name: str = "foo", replicas: int = 1, **spec: Any) -> dict[str, Any]:
    """Return a DaskJob; `spec` are fields beside its cluster and its runner."""
    cluster = a_cluster(name, replicas)["spec"]
    runner = {**cluster["worker"]["spec"], "containers": [{"name": RUNNER, "image": "any"}]}
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": name},
        "spec": {"cluster": {"spec": cluster}, "job": {"spec": runner}, **spec},
    }


async def says(kube: KubeClient, pod: str, phase: str, *containers: dict[str, Any]) -> None:
    """Let a Pod's node say how it is."""
    status = {"phase": phase, "startTime": BEGAN, "containerStatuses": list(containers)}
    await kube.patch(POD, pod, {"status": status}, sub="status")


def container(state: str, *, code: int = 0, restarts: int = 0, name: str = RUNNER) -> dict[str, Any]:
    """Return what a node says of a container: running or terminated."""
    began = {"startedAt": BEGAN}
    known = {"running": began, "terminated": {**began, "finishedAt": ENDED, "exitCode": code}}
    return {
        "name": name,
        "image": "any",
        "imageID": "any",
        "ready": state == "running",
        "restartCount": restarts,
        "state": {state: known[state]},
    }


async def ends(kube: KubeClient, name: str, code: int) -> None:
    """Let a job's runner end."""
    phase = "Failed" if code else "Succeeded"
    await says(kube, f"{name}-runner", phase, container("terminated", code=code))


async def status_of(kube: KubeClient, name: str, seconds: float = 15, **wanted: Any) -> dict[str, Any]:
    """Wait until a job's status has these fields; return it."""
    last: dict[str, Any] = {}

    async def check() -> Any:
        with contextlib.suppress(NotFound):
            last.update((await kube.get(DASKJOB, name)).get("status") or {})
            return all(last.get(field) == value for field, value in wanted.items())
        return False

    check.__doc__ = f"{name}: {wanted}"
    try:
        await eventually(check, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\nlast: {last}") from None
    return last


async def get(kube: KubeClient, resource: Any, name: str) -> dict[str, Any] | None:
    """Return an object, if it is there."""
    with contextlib.suppress(NotFound):
        return await kube.get(resource, name)
    return None


async def until(kube: KubeClient, resource: Any, name: str, is_so: Callable[[Any], Any]) -> Any:
    """Wait until an object, or its absence, is as wanted; return the object."""
    found: list[Any] = [None]

    async def check() -> bool:
        found[0] = await get(kube, resource, name)
        return bool(is_so(found[0]))

    await eventually(check)
    return found[0]


async def runner_of_attempt(kube: KubeClient, name: str, attempt: int) -> dict[str, Any]:
    """Wait for the runner's Pod of an attempt."""
    text = str(attempt)
    return await until(
        kube,
        POD,
        f"{name}-runner",
        lambda pod: pod and pod["metadata"]["annotations"][labels.JOB_ATTEMPT] == text,
    )


async def pods_of(kube: KubeClient, name: str) -> list[str]:
    """Return the names of all Pods of a job."""
    answer = await kube.list(POD, labels={labels.CLUSTER_NAME: name})
    return sorted(pod["metadata"]["name"] for pod in answer["items"])


async def has_no_pods(kube: KubeClient, name: str) -> None:
    """Wait until there is no Pod of a job, nor a cluster that would make one."""

    async def check() -> bool:
        return not await pods_of(kube, name) and await get(kube, DASKCLUSTER, name) is None

    await eventually(check)
