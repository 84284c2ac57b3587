"""Pods and facts for the tests of the node's pure parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from dask_gpu_k8s.local.node.facts import ContainerFacts, Ended, PodFacts, Run

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def container(name="main", **more):
    return {"name": name, "image": "image", "command": ["run"], **more}


def make_pod(*containers, init=(), policy="Always", meta=None, status=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": "ns", "uid": "u1", **(meta or {})},
        "spec": {
            "containers": list(containers) or [container()],
            **({"initContainers": list(init)} if init else {}),
            "restartPolicy": policy,
            "nodeName": "local",
            **spec,
        },
        "status": status or {},
    }


def deleted(pod, grace=None):
    meta = {**pod["metadata"], "deletionTimestamp": "2026-03-01T12:00:30Z"}
    if grace is not None:
        meta["deletionGracePeriodSeconds"] = grace
    return {**pod, "metadata": meta}


def facts(**containers: ContainerFacts) -> PodFacts:
    return PodFacts("127.97.0.2", "127.0.0.1", START, containers)


def running(since=0.0, *, ready=True, **more) -> ContainerFacts:
    return replace(ContainerFacts(running=Run("r", at(since)), started=True, ready=ready), **more)


def ended(code=0, finished=5.0, **more) -> ContainerFacts:
    end = Ended("r", START, at(finished), code, "Completed" if code == 0 else "Error")
    return replace(ContainerFacts(ended=end), **more)
