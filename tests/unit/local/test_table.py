"""What kubectl prints: ages, JSONPath, columns of CRDs, Pods and other kinds."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from dask_gpu_k8s.local.printing import jsonpath, printers
from dask_gpu_k8s.local.printing.ages import age, span
from dask_gpu_k8s.local.printing.pod_printer import PODS, status_word
from dask_gpu_k8s.local.printing.table import PLAIN, custom_printer, make_table

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
CREATED = "2026-01-01T23:59:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (253, "4m13s"),
        (600, "10m"),
        (3 * 3600 + 60 * 5, "3h5m"),
        (9 * 3600, "9h"),
        (47 * 3600, "47h"),
        (3 * 86400 + 3600, "3d1h"),
        (100 * 86400, "100d"),
        (3 * 365 * 86400 + 86400, "3y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_spans(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_ages() -> None:
    assert age(CREATED, NOW) == "60s"
    assert age(None, NOW) == "<unknown>"
    assert age("yesterday", NOW) == "<invalid>"


OBJ = {"spec": {"a.b": 1, "list": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "n": None}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.list[0].k", ["x"]),
        (".spec.list[-1].k", ["y"]),
        (".spec.list[7].k", []),
        (".spec.list[*].v", [1, 2]),
        ('.spec.list[?(@.k=="y")].v', [2]),
        (r".spec.a\.b", [1]),
        (".spec['a.b']", [1]),
        ("spec.n", [None]),
        (".nothing.at.all", []),
    ],
)
def test_json_path(path: str, found: list[Any]) -> None:
    assert jsonpath.find(OBJ, path) == found


@pytest.mark.parametrize("path", [".spec[", ".spec[?(@.k>1)]", ".spec..x"])
def test_what_is_no_json_path(path: str) -> None:
    assert jsonpath.check_path(path)


def test_plain_paths() -> None:
    assert jsonpath.get_in({"a": {"b": 1}}, ".a.b") == 1
    assert jsonpath.get_in({"a": 5}, ".a.b") is None
    assert jsonpath.with_value({"a": {"c": 2}}, ".a.b", 1) == {"a": {"b": 1, "c": 2}}
    assert jsonpath.with_value({"a": 5}, ".a.b", 1) == {"a": {"b": 1}}


def test_columns_of_a_crd() -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"},
        {"name": "Parts", "type": "string", "jsonPath": ".spec.parts", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    obj = {"metadata": {"name": "a", "creationTimestamp": CREATED}, "spec": {"size": 3, "parts": ["x"]}}
    table = make_table(custom_printer(columns), [obj], NOW, {"resourceVersion": "1"}, "Metadata")
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "Size",
        "Ready",
        "Parts",
        "Age",
    ]
    assert table["rows"][0]["cells"] == ["a", 3, None, '["x"]', "60s"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert "object" not in make_table(PLAIN, [obj], NOW, {}, "None")["rows"][0]
    assert make_table(PLAIN, [obj], NOW, {}, "Object")["rows"][0]["object"] is obj


def test_a_crd_without_columns_shows_the_age() -> None:
    printer = custom_printer([])
    assert [column.name for column in printer.columns] == ["Name", "Age"]
    assert printer.cells({"metadata": {"name": "a", "creationTimestamp": CREATED}}, NOW) == ["a", "60s"]


def pod(*states: dict, phase: str = "Running", **more: Any) -> dict:
    statuses = [
        {"name": str(index), "ready": "running" in state, "restartCount": 0, "state": state}
        for index, state in enumerate(states)
    ]
    containers = [{"name": str(index)} for index, _ in enumerate(states)]
    return {
        "metadata": {"name": "p", "creationTimestamp": CREATED, **more.pop("metadata", {})},
        "spec": {"containers": containers, **more.pop("spec", {})},
        "status": {"phase": phase, "containerStatuses": statuses, **more},
    }


RUNNING = {"running": {}}
INIT = {"spec": {"initContainers": [{"name": "i"}, {"name": "j"}]}}


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (pod(RUNNING), "Running"),
        (pod(RUNNING, metadata={"deletionTimestamp": CREATED}), "Terminating"),
        (pod({"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (pod({"waiting": {"reason": "ContainerCreating"}}, phase="Pending"), "ContainerCreating"),
        (pod({"terminated": {"exitCode": 1, "reason": "Error"}}, phase="Failed"), "Error"),
        (pod({"terminated": {"exitCode": 0, "reason": "Completed"}}, phase="Succeeded"), "Completed"),
        (pod({"terminated": {"exitCode": 3}}), "ExitCode:3"),
        (pod({"terminated": {"exitCode": 137, "signal": 9}}), "Signal:9"),
        (pod(RUNNING, {"terminated": {"exitCode": 0, "reason": "Completed"}}), "NotReady"),
        (
            pod(
                {"terminated": {"exitCode": 0, "reason": "Completed"}},
                RUNNING,
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "Running",
        ),
        (pod(phase="Pending"), "Pending"),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (
            pod(
                phase="Pending",
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            ),
            "SchedulingGated",
        ),
        (pod(phase="Pending", initContainerStatuses=[{"name": "i", "state": RUNNING}], **INIT), "Init:0/2"),
        (
            pod(
                phase="Pending",
                initContainerStatuses=[
                    {"name": "i", "state": {"terminated": {"exitCode": 0}}},
                    {"name": "j", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}},
                ],
                **INIT,
            ),
            "Init:Error",
        ),
    ],
)
def test_the_word_under_status(seen: dict, word: str) -> None:
    assert status_word(seen) == word


def test_a_row_of_a_pod() -> None:
    seen = pod(RUNNING, {"waiting": {"reason": "CrashLoopBackOff"}}, podIP="127.97.0.2")
    seen["spec"]["nodeName"] = "n"
    seen["status"]["containerStatuses"][1]["restartCount"] = 4
    seen["status"]["containerStatuses"][1]["lastState"] = {"terminated": {"finishedAt": CREATED}}
    assert PODS.cells(seen, NOW) == [
        "p", "1/2", "CrashLoopBackOff", "4 (60s ago)", "60s", "127.97.0.2", "n", "<none>", "<none>",
    ]  # fmt: skip


META = {"name": "x", "creationTimestamp": CREATED}


@pytest.mark.parametrize(
    ("printer", "obj", "cells"),
    [
        (
            printers.SERVICE,
            {"spec": {"type": "LoadBalancer", "clusterIP": "1.2.3.4", "selector": {"b": "c", "a": "b"},
                      "ports": [{"port": 80, "nodePort": 31000}, {"port": 53, "protocol": "UDP"}]}},
            ["x", "LoadBalancer", "1.2.3.4", "<pending>", "80:31000/TCP,53/UDP", "60s", "a=b,b=c"],
        ),
        (
            printers.SERVICE,
            {"spec": {"type": "ExternalName", "externalName": "e.com"}},
            ["x", "ExternalName", "<none>", "e.com", "<none>", "60s", "<none>"],
        ),
        (
            printers.NODE,
            {"spec": {"unschedulable": True},
             "status": {"conditions": [{"type": "Ready", "status": "True"}],
                        "nodeInfo": {"kubeletVersion": "v1"},
                        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}},
            ["x", "Ready,SchedulingDisabled", "<none>", "60s", "v1", "127.0.0.1", "<none>", "<unknown>",
             "<unknown>", "<unknown>"],
        ),
        (
            printers.EVENT,
            {"involvedObject": {"kind": "Pod", "name": "p"}, "type": "Normal", "reason": "R",
             "message": "m\n", "source": {"component": "c", "host": "h"},
             "firstTimestamp": CREATED, "lastTimestamp": CREATED,
             "count": 2},
            ["60s", "Normal", "R", "pod/p", "", "c, h", "m", "60s", 2, "x"],
        ),
        (
            printers.ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": str(n)} for n in range(5)], "ports": [{"port": 80}]}]},
            ["x", "0:80,1:80,2:80 + 2 more...", "60s"],
        ),
        (
            printers.ENDPOINTSLICE,
            {"addressType": "IPv4", "endpoints": [], "ports": []},
            ["x", "IPv4", "<unset>", "<unset>", "60s"],
        ),
        (printers.SECRET, {"type": "Opaque", "data": {"a": ""}}, ["x", "Opaque", 1, "60s"]),
        (printers.CONFIGMAP, {"data": {"a": ""}, "binaryData": {"b": ""}}, ["x", 2, "60s"]),
        (printers.LEASE, {"spec": {"holderIdentity": "me"}}, ["x", "me", "60s"]),
        (printers.BUDGET, {"spec": {"maxUnavailable": "50%"}}, ["x", "N/A", "50%", 0, "60s"]),
        (printers.NETWORKPOLICY, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, ["x", "a=b", "60s"]),
        (printers.BINDING, {"roleRef": {"kind": "Role", "name": "r"}}, ["x", "Role/r", "60s"]),
        (printers.CRD, {}, ["x", CREATED]),
    ],
)  # fmt: skip
def test_rows_of_other_kinds(printer: Any, obj: dict, cells: list[Any]) -> None:
    found = printer.cells({"metadata": META, **obj}, NOW)
    assert found == cells
    assert len(found) == len(printer.columns)
