"""Why no operator has taken notice of a DaskCluster: not installed, elsewhere, hindered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.definitions import PATH, lacks
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.logs import last_lines
from dask_gpu_k8s.cluster.translate import INSTALL, outdated_definition
from dask_gpu_k8s.errors import DaskClusterError, OperatorNotFound
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.urls import ALL_NAMESPACES

LOG_LINES = 20


async def why_unseen(kube: KubeClient, namespace: str, where: str, seconds: float) -> DaskClusterError:
    """Look for what keeps an operator from seeing a DaskCluster, as far as one is allowed to.

    Parameters
    ----------
    kube : KubeClient
    namespace : str
        Where the DaskCluster is.
    where : str
        The DaskCluster, for the message.
    seconds : float
        For how long nobody has taken notice of it.

    Returns
    -------
    CRDsMissing or OperatorNotFound
    """
    with suppress(KubeError):
        document = await kube.read(PATH)
        if lacking := list(lacks(document, DASKCLUSTER)):
            return outdated_definition(f"lacks {', '.join(lacking[:4])}", where)
    pods = await _operators(kube, namespace)
    what, cure = judge_operators(pods, namespace)
    text = f"no operator has taken notice of it for {seconds:g} s: {what}"
    log = ""
    for pod in list(serving(pods or (), namespace))[:1]:
        container = pod["spec"]["containers"][0]["name"]
        log = _complaints(await last_lines(kube, pod, container, LOG_LINES, ended=False))
    return OperatorNotFound(f"{text}; its log says: {log}" if log else text, where=where, cure=cure)


async def _operators(kube: KubeClient, namespace: str) -> list[Manifest] | None:
    """Find the Pods of operators; ``None`` if nobody may look for them here."""
    for place in (ALL_NAMESPACES, OPERATOR_NAMESPACE, namespace):
        with suppress(KubeError):
            found: list[Manifest] = (await kube.list(POD, place, labels=labels.of_operator()))["items"]
            if found or place == ALL_NAMESPACES:
                return found
    return None


def judge_operators(pods: Sequence[Manifest] | None, namespace: str) -> tuple[str, str]:
    """Say what is the matter with the operators, and what to do.

    Parameters
    ----------
    pods : sequence of Manifest or None
        Their Pods; ``None`` if they cannot be seen.
    namespace : str
        Where one is missed.
    """
    if pods is None:
        return (
            "whether one runs cannot be seen with these rights",
            f"Does one run, and does it serve the namespace {namespace!r}? {INSTALL}",
        )
    if not pods:
        return "none is installed", INSTALL
    here = list(serving(pods, namespace))
    if not here:
        served = sorted({name for pod in pods for name in served_namespaces(pod)})
        return (
            f"the operator in {_names(pods)} serves other namespaces only: {', '.join(served)}",
            f"Use one of those (namespace=), or have {namespace!r} added to them.",
        )
    why = explain_pod(here[0])
    if why.state != "ready":
        text = f"the operator in {_names(here)} is not ready ({why.reason}): {why.message}"
        return text, "Whoever installed it has to mend that."
    return (
        f"the operator in {_names(here)} runs and serves {namespace!r}, but may be hindered",
        "If it lacks a right, its manifests have to be applied again.",
    )


def served_namespaces(pod: Manifest) -> list[str]:
    """Read from an operator's command line which namespaces it looks after; empty means all."""
    container = pod["spec"]["containers"][0]
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    apart = [value for option, value in pairwise(words) if option in ("-n", "--namespace")]
    together = [word.partition("=")[2] for word in words if word.startswith("--namespace=")]
    return apart + together


def serving(pods: Sequence[Manifest], namespace: str) -> Iterator[Manifest]:
    """Pick the operators that look after a namespace."""
    for pod in pods:
        served = served_namespaces(pod)
        if not served or namespace in served:
            yield pod


def _names(pods: Sequence[Manifest]) -> str:
    return ", ".join(f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods[:3])


def _complaints(log: str) -> str:
    """Pick from the end of an operator's log what may be the reason: lines about rights, else the last."""
    lines = log.splitlines()
    return "; ".join([line for line in lines if "forbidden" in line][-2:] or lines[-2:])
