"""Whether a Pod fits, and the words in which the scheduler refuses it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dask_gpu_k8s.local.node.fit import why_unschedulable
from dask_gpu_k8s.local.node.resources import gpus_of, pod_requests
from tests.unit.local_node.builders import container, make_pod

GPU = "nvidia.com/gpu"
NO_VICTIMS = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
NO_HELP = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def node(*, labels=None, **spec):
    return {
        "metadata": {"name": "local", "labels": {"zone": "a", "cores": "16", **(labels or {})}},
        "spec": spec,
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", GPU: "2", "pods": "3"}},
    }


def asking(requests=None, limits=None, **spec):
    resources = {"requests": requests or {}, "limits": limits or {}}
    return make_pod(container(resources=resources), **spec)


def used(**amounts):
    names = {"gpu": GPU}
    return {names.get(name, name): Decimal(amount) for name, amount in amounts.items()}


@pytest.mark.parametrize(
    ("pod", "taken"),
    [
        (asking(), used(cpu=4, pods=2)),
        (asking({"cpu": "4"}), used()),
        (asking(limits={GPU: "2"}), used()),
        (asking({"cpu": "500m"}, {"cpu": "9"}), used(cpu=3)),
    ],
)
def test_fits(pod, taken):
    assert why_unschedulable(pod, node(), taken) is None


@pytest.mark.parametrize(
    ("pod", "taken", "why"),
    [
        (asking(limits={GPU: "1"}), used(gpu=2), "1 Insufficient nvidia.com/gpu"),
        (asking(limits={GPU: "3"}), used(), "1 Insufficient nvidia.com/gpu"),
        (asking({"cpu": "2", "memory": "9Gi"}), used(cpu=3), "1 Insufficient cpu, 1 Insufficient memory"),
        (asking(), used(pods=3), "1 Too many pods"),
        (asking(limits={"example.com/thing": "1"}), used(), "1 Insufficient example.com/thing"),
    ],
)
def test_shortages(pod, taken, why):
    assert why_unschedulable(pod, node(), taken) == f"0/1 nodes are available: {why}. {NO_VICTIMS}"


def affinity(*expressions):
    term = {"matchExpressions": list(expressions)}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": required}


MISMATCH = "1 node(s) didn't match Pod's node affinity/selector"


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "b"}}, False),
        ({"affinity": affinity({"key": "zone", "operator": "In", "values": ["a", "b"]})}, True),
        ({"affinity": affinity({"key": "zone", "operator": "NotIn", "values": ["a"]})}, False),
        ({"affinity": affinity({"key": "gpu", "operator": "Exists"})}, False),
        ({"affinity": affinity({"key": "gpu", "operator": "DoesNotExist"})}, True),
        ({"affinity": affinity({"key": "cores", "operator": "Gt", "values": ["8"]})}, True),
        ({"affinity": affinity({"key": "cores", "operator": "Lt", "values": ["8"]})}, False),
    ],
)
def test_selectors(spec, fits):
    expected = None if fits else f"0/1 nodes are available: {MISMATCH}. {NO_HELP}"
    assert why_unschedulable(asking(**spec), node(), used()) == expected


TAINT = {"key": "team", "value": "red", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("tolerations", "fits"),
    [
        ([], False),
        ([{"operator": "Exists"}], True),
        ([{"key": "team", "operator": "Exists"}], True),
        ([{"key": "team", "value": "red", "effect": "NoSchedule"}], True),
        ([{"key": "team", "value": "blue"}], False),
        ([{"key": "team", "value": "red", "effect": "NoExecute"}], False),
    ],
)
def test_taints(tolerations, fits):
    why = why_unschedulable(asking(tolerations=tolerations), node(taints=[TAINT]), used())
    refused = "0/1 nodes are available: 1 node(s) had untolerated taint {team: red}. " + NO_HELP
    assert why == (None if fits else refused)


def test_cordoned_node():
    why = why_unschedulable(asking(), node(unschedulable=True), used())
    assert why == f"0/1 nodes are available: 1 node(s) were unschedulable. {NO_HELP}"


def test_requests_are_those_of_the_larger_stage():
    init = container("i", resources={"requests": {"cpu": "3", "memory": "1Mi"}})
    mains = [container(name, resources={"requests": {"cpu": "1", "memory": "1Mi"}}) for name in "ab"]
    requests = pod_requests(make_pod(*mains, init=[init], overhead={"cpu": "100m"}))
    assert requests == {"cpu": Decimal("3.1"), "memory": Decimal(2 * 2**20)}


def test_limits_stand_for_requests():
    assert gpus_of({"resources": {"limits": {GPU: 2}}}) == 2
    assert gpus_of({}) == 0
