"""What is added to a user's containers, and what is left alone."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.objects.containers import comm_port_of, make_pod_spec, scheduler_container


def only(spec: dict) -> dict:
    (made,) = make_pod_spec({"containers": [spec]})["containers"]
    assert made.pop("terminationMessagePolicy") == "FallbackToLogsOnError"
    return made


def test_what_is_said_of_the_end_of_a_container_is_up_to_the_user():
    (made,) = make_pod_spec({"containers": [{"terminationMessagePolicy": "File"}]})["containers"]
    assert made["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"args": ["dask-scheduler"]}, {"args": ["dask", "scheduler"]}),
        ({"args": ["dask-worker", "--name", "x"]}, {"args": ["dask", "worker", "--name", "x"]}),
        ({"command": ["dask-worker"], "args": ["--x"]}, {"command": ["dask", "worker"], "args": ["--x"]}),
        (
            {"command": ["tini", "--"], "args": ["dask-worker"]},
            {"command": ["tini", "--"], "args": ["dask", "worker"]},
        ),
    ],
)
def test_programs_that_left_distributed(given, made):
    assert only(given) == made


@pytest.mark.parametrize(
    "given",
    [
        {"args": ["dask-cuda-worker"]},
        {"args": ["dask", "worker"]},
        {"args": ["echo", "dask-worker"]},
        {"command": ["sh", "-c"], "args": ["dask-worker"]},
        {"command": ["bash", "-lc"], "args": ["dask-worker"]},
        {"command": ["sh", "-c", "dask-worker --name $(DASK_WORKER_NAME)"]},
    ],
)
def test_other_commands_stay_as_they_are(given):
    assert only(given) == given


def test_variables_come_first_so_that_the_users_own_may_refer_to_them():
    spec = {"containers": [{"env": [{"name": "A", "value": "$(DASK_WORKER_NAME)"}]}]}
    env = make_pod_spec(spec, env={"DASK_WORKER_NAME": "w"})["containers"][0]["env"]
    assert env == [{"name": "DASK_WORKER_NAME", "value": "w"}, {"name": "A", "value": "$(DASK_WORKER_NAME)"}]


def test_a_variable_of_the_user_wins():
    spec = {"containers": [{"env": [{"name": "DASK_WORKER_NAME", "value": "mine"}]}]}
    env = make_pod_spec(spec, env={"DASK_WORKER_NAME": "w"})["containers"][0]["env"]
    assert env == [{"name": "DASK_WORKER_NAME", "value": "mine"}]


def test_every_container_gets_the_variables_even_where_env_is_null():
    spec = {"containers": [{"name": "a", "env": None}, {"name": "b"}]}
    made = make_pod_spec(spec, env={"X": "1"})["containers"]
    assert [container["env"] for container in made] == [[{"name": "X", "value": "1"}]] * 2


def test_service_links_are_off_unless_asked_for():
    assert make_pod_spec({"containers": []})["enableServiceLinks"] is False
    assert make_pod_spec({"containers": [], "enableServiceLinks": True})["enableServiceLinks"] is True


def test_the_rest_of_a_pod_spec_is_kept_and_the_users_is_not_changed():
    spec = freeze(
        {
            "restartPolicy": "Never",
            "containers": [
                {"args": ["dask-worker"], "env": [], "resources": {"limits": {"nvidia.com/gpu": 1}}}
            ],
        }
    )
    made = make_pod_spec(spec, env={"X": "1"})
    assert made["restartPolicy"] == "Never"
    assert made["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_the_comm_port_is_found_by_its_name():
    container = {
        "ports": [{"name": "other", "containerPort": 1}, {"name": "tcp-comm", "containerPort": 9000}]
    }
    assert comm_port_of({"containers": [{}, container]}) == 9000
    assert comm_port_of({"ports": [{"name": "tcp-comm", "port": 9001}]}, "port") == 9001
    assert comm_port_of({"ports": None}, "port") == 8786


@pytest.mark.parametrize(
    ("containers", "dask"),
    [
        ([{"name": "mesh"}, {"name": "main", "ports": [{"name": "tcp-comm", "containerPort": 1}]}], "main"),
        ([{"name": "mesh"}, {"name": "scheduler"}], "scheduler"),
        ([{"name": "main"}, {"name": "mesh"}], "main"),
    ],
)
def test_the_schedulers_container_is_known_by_its_port_then_by_its_name(containers, dask):
    assert scheduler_container({"containers": containers}) == dask


def test_a_pod_without_containers_is_for_the_api_server_to_refuse():
    assert scheduler_container({"containers": []}) == "scheduler"
