from __future__ import annotations

import pytest

from dask_gpu_k8s.cluster.absence import judge_operators, served_namespaces

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def operator(*args, name="op", **status):
    return {
        "metadata": {"name": name, "namespace": "dask-operator", "uid": name},
        "spec": {"nodeName": "n1", "containers": [{"name": "operator", "args": list(args)}]},
        "status": status or READY,
    }


@pytest.mark.parametrize(
    ("args", "served"),
    [([], []), (["-n", "a", "--namespace", "b"], ["a", "b"]), (["--adopt", "--namespace=c"], ["c"])],
)
def test_which_namespaces_an_operator_serves(args, served):
    assert served_namespaces(operator(*args)) == served


BROKEN = {"containerStatuses": [{"name": "operator", "state": {"waiting": {"reason": "ErrImagePull"}}}]}


@pytest.mark.parametrize(
    ("pods", "what"),
    [
        (None, "whether one runs cannot be seen with these rights"),
        ([], "none is installed"),
        (
            [operator("-n", "a"), operator("--namespace=b", name="op2")],
            "the operator in Pod dask-operator/op, Pod dask-operator/op2 serves other namespaces only: a, b",
        ),
        (
            [operator(**BROKEN)],
            r"the operator in Pod dask-operator/op is not ready \(ErrImagePull\): the image",
        ),
        ([operator("-n", "a"), operator("-n", "mine", name="op2")], "op2 runs and serves 'mine', but may be"),
    ],
)
def test_why_nobody_has_seen_it(pods, what):
    import re

    assert re.search(what, judge_operators(pods, "mine")[0])
