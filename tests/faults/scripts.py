"""What users do, each script from an empty namespace to a state that is to be reached whatever goes wrong."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKJOB, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.settings import Settings
from tests.faults.kubelet import EXITS, RUNS
from tests.faults.user import User

PORTS = [{"name": "tcp-comm", "port": 8786}, {"name": "http-dashboard", "port": 8787}]


def a_cluster_spec(replicas: int) -> Manifest:
    """Return the spec of a DaskCluster."""
    return {
        "worker": {
            "replicas": replicas,
            "spec": {"containers": [{"name": "worker", "image": "good", "args": ["dask", "worker"]}]},
        },
        "scheduler": {
            "spec": {"containers": [{"name": "scheduler", "image": "good", "args": ["dask", "scheduler"]}]},
            "service": {"type": "ClusterIP", "ports": PORTS},
        },
    }


def a_cluster(replicas: int, name: str = "foo") -> Manifest:
    """Return a DaskCluster."""
    return _of(DASKCLUSTER, name, a_cluster_spec(replicas))


def a_group(cluster: str, name: str, replicas: int) -> Manifest:
    """Return a DaskWorkerGroup made by a user."""
    worker = a_cluster_spec(replicas)["worker"]
    return _of(DASKWORKERGROUP, name, {"cluster": cluster, "worker": worker})


def a_job(exits: str, **fields: Any) -> Manifest:
    """Return a DaskJob whose runner ends with these exit codes, one attempt after the other."""
    runner = {"name": "job", "image": "good", "command": ["python", "job.py"]}
    job = {
        "metadata": {"annotations": {RUNS: "3", EXITS: exits}},
        "spec": {"containers": [runner], "restartPolicy": "Never"},
    }
    return _of(DASKJOB, "foo", {"job": job, "cluster": {"spec": a_cluster_spec(2)}, **fields})


def _of(resource: Any, name: str, spec: Manifest) -> Manifest:
    about = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**about, "metadata": {"name": name}, "spec": spec}


async def create(user: User) -> None:
    """A cluster of three workers and a second group of two."""
    user.create(DASKCLUSTER, a_cluster(3))
    user.create(DASKWORKERGROUP, a_group("foo", "foo-more", 2))
    await user.until("ready", lambda: user.status(DASKCLUSTER, "foo").get("readyWorkers") == 5)


async def scale_up(user: User) -> None:
    """From one worker to four, and an edit while they come."""
    user.create(DASKCLUSTER, a_cluster(1))
    await user.has_workers("foo", 1)
    user.scale("foo", 4)
    await user.pause(0.1)
    user.scale("foo", 5)
    await user.has_workers("foo", 5)


async def scale_down(user: User) -> None:
    """From five busy workers that all hold results to two, and none of the results is lost."""
    user.create(DASKCLUSTER, a_cluster(5))
    await user.has_workers("foo", 5)
    user.run.dask.compute("foo")
    user.scale("foo", 2)
    await user.has_workers("foo", 2)


async def job(user: User) -> None:
    """A job that ends well; its cluster goes."""
    user.create(DASKJOB, a_job("0"))
    await user.job_is("foo", "Successful")


async def failing_job(user: User) -> None:
    """A job that fails for good."""
    user.create(DASKJOB, a_job("1"))
    await user.job_is("foo", "Failed")


async def delete(user: User) -> None:
    """A cluster is deleted, and made again under its name at once, smaller."""
    user.create(DASKCLUSTER, a_cluster(3))
    await user.has_workers("foo", 3)
    user.run.may_lose = True
    user.delete(DASKCLUSTER, "foo")
    await user.until("gone", lambda: user.get(DASKCLUSTER, "foo") is None)
    user.create(DASKCLUSTER, a_cluster(2))
    await user.has_workers("foo", 2)
    user.delete(DASKCLUSTER, "foo")
    await user.has_no_pods()


async def rollout(user: User) -> None:
    """Three busy workers get another image, a few at a time; none of their results is lost."""
    user.create(DASKCLUSTER, a_cluster(3))
    await user.has_workers("foo", 3)
    user.run.dask.compute("foo")
    user.patch(DASKCLUSTER, "foo", _workers_of("better"))
    await user.has_workers_of("foo", 3, "better")


async def mended_rollout(user: User) -> None:
    """An image that does not exist, and then one that does."""
    user.create(DASKCLUSTER, a_cluster(3))
    await user.has_workers("foo", 3)
    user.patch(DASKCLUSTER, "foo", _workers_of("bad"))
    await user.until("a bad Pod", lambda: any(map(_is_bad, user.pods())))
    user.patch(DASKCLUSTER, "foo", _workers_of("better"))
    await user.has_workers_of("foo", 3, "better")


def _workers_of(image: str) -> Manifest:
    containers = [{"name": "worker", "image": image, "args": ["dask", "worker"]}]
    return {"spec": {"worker": {"spec": {"containers": containers}}}}


def _is_bad(pod: Manifest) -> bool:
    return bool(pod["spec"]["containers"][0]["image"] == "bad")


async def suspend(user: User) -> None:
    """A cluster is suspended, which leaves no Pod, and resumed."""
    user.create(DASKCLUSTER, a_cluster(3))
    await user.has_workers("foo", 3)
    user.run.may_lose = True
    user.patch(DASKCLUSTER, "foo", {"spec": {"suspend": True}})
    await user.until("suspended", lambda: user.status(DASKCLUSTER, "foo").get("phase") == "Suspended")
    assert not user.pods()
    user.patch(DASKCLUSTER, "foo", {"spec": {"suspend": False}})
    await user.has_workers("foo", 3)


async def retry(user: User) -> None:
    """A job whose first runner fails; the second, on a cluster of its own, does not."""
    user.create(DASKJOB, a_job("1,0", backoffLimit=2))
    await user.job_is("foo", "Successful")


async def autoscale(user: User) -> None:
    """Work comes, and the cluster grows; the work is done, and it shrinks."""
    user.create(DASKCLUSTER, a_cluster(1))
    bounds = {"minimum": 1, "maximum": 4, "scaleDown": {"stabilizationWindowSeconds": 10}}
    user.create(DASKAUTOSCALER, _of(DASKAUTOSCALER, "foo", {"cluster": "foo", **bounds}))
    await user.has_workers("foo", 1)
    user.run.dask.targets["foo"] = 6
    await user.has_workers("foo", 4)
    user.run.dask.compute("foo")
    user.run.dask.targets["foo"] = 2
    await user.has_workers("foo", 2)


async def lead(user: User) -> None:
    """The same as create, by an operator that needs a Lease to work."""
    await create(user)


lead.settings = Settings(lease="dask-operator")  # type: ignore[attr-defined]


_ALL = (
    create, scale_up, scale_down, rollout, mended_rollout, suspend, job, failing_job, retry, autoscale,
    delete, lead,
)  # fmt: skip

SCRIPTS = {script.__name__.replace("_", "-"): script for script in _ALL}
