"""The preStop hook of worker Pods: on which container, within which time, and as which text."""

from __future__ import annotations

import ast
import sys

import pytest

from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.objects.draining import PROGRAM, with_drain
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from tests.unit.operator.builders import a_cluster, a_group


def hook_of(container: dict) -> list[str]:
    return container["lifecycle"]["preStop"]["exec"]["command"]


def test_row_31_a_worker_pod_drains_itself_within_its_grace():
    pod = make_worker_pod(a_cluster(), a_group(), 0)
    python, _, program, seconds = hook_of(pod["spec"]["containers"][0])
    assert (python, program, seconds) == ("python", PROGRAM, "15")


@pytest.mark.parametrize(("grace", "seconds"), [(60, "55"), (10, "5"), (4, "2"), (1, "0.5")])
def test_what_is_left_of_the_grace_is_for_sigterm(grace, seconds):
    spec = {"terminationGracePeriodSeconds": grace, "containers": [{"name": "a"}]}
    assert hook_of(with_drain(freeze(spec))["containers"][0])[3:] == [seconds]


def test_only_the_first_container_drains():
    spec = {"terminationGracePeriodSeconds": 30, "containers": [{"name": "dask"}, {"name": "kerberos"}]}
    assert with_drain(spec)["containers"][1] == {"name": "kerberos"}


def test_a_pod_on_its_machines_address_knows_its_processes_by_name_alone():
    spec = {"terminationGracePeriodSeconds": 30, "hostNetwork": True, "containers": [{"name": "a"}]}
    assert hook_of(with_drain(spec)["containers"][0])[4:] == ["shared"]


def test_the_users_own_hook_wins_and_another_one_stays():
    own = {"preStop": {"sleep": {"seconds": 3}}}
    spec = {"terminationGracePeriodSeconds": 30, "containers": [{"name": "a", "lifecycle": own}]}
    assert with_drain(freeze(spec)) == spec
    start = {"postStart": {"exec": {"command": ["true"]}}}
    (container,) = with_drain({**spec, "containers": [{"name": "a", "lifecycle": start}]})["containers"]
    assert container["lifecycle"]["postStart"] == start["postStart"]
    assert hook_of(container)


def test_a_pod_without_grace_has_no_time_for_a_hook():
    spec = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "a"}]}
    assert with_drain(spec) == spec


def test_the_program_is_short_and_needs_nothing_but_what_dask_brings():
    assert len(PROGRAM) < 4000
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(PROGRAM))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"msgpack", "dask"}
