"""The operator's preload in schedulers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from dask_gpu_k8s.operator.objects.preload import ARGUMENTS, LINE, PRELOAD, TEXT, with_preload


def loaded(**container: Any) -> dict[str, Any]:
    spec = with_preload({"containers": [{"name": "scheduler", **container}]})
    return dict(spec["containers"][0])


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container.get("env", ())}


def named(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    ("env", "preload", "arguments"),
    [
        ({}, [LINE], []),
        ({PRELOAD: "mine"}, ["mine", LINE], None),
        ({PRELOAD: "import os; print(1)"}, ["import os; print(1)", LINE], None),
        ({PRELOAD: '["a", "b.py"]'}, ["a", "b.py", LINE], None),
        ({PRELOAD: "['a']"}, ["a", LINE], None),
        ({PRELOAD: "[]"}, [LINE], None),
        ({PRELOAD: "a", ARGUMENTS: "['--x', '1']"}, ["a", LINE], ["--x", "1"]),
        ({PRELOAD: "['a', 'b']", ARGUMENTS: "[['--x'], []]"}, ["a", "b", LINE], [["--x"], [], []]),
    ],
)
def test_it_comes_after_those_of_the_user(env, preload, arguments):
    found = env_of(loaded(env=[*named(OTHER="{{}}", **env)]))
    assert json.loads(found[PRELOAD]) == preload
    assert (None if found.get(ARGUMENTS) is None else json.loads(found[ARGUMENTS])) == arguments
    assert found["OTHER"] == "{{}}"
    assert "dask_operator_demand" in found[TEXT]


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": PRELOAD, "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}]},
        {"env": named(**{ARGUMENTS: "[['--x']]"})},
        {"securityContext": {"readOnlyRootFilesystem": True}},
    ],
)
def test_it_is_left_out_where_it_could_do_harm(container):
    assert loaded(**container) == {"name": "scheduler", **container}


def test_a_read_only_container_with_a_tmp_has_it():
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]
    found = loaded(securityContext={"readOnlyRootFilesystem": True}, volumeMounts=mounts)
    assert TEXT in env_of(found)


def test_only_the_schedulers_container_has_it():
    ports = [{"name": "tcp-comm", "containerPort": 8786}]
    spec = with_preload({"containers": [{"name": "proxy"}, {"name": "scheduler", "ports": ports}]})
    assert [TEXT in env_of(each) for each in spec["containers"]] == [False, True]
    spec = with_preload({"containers": [{"name": "first"}, {"name": "second"}]})
    assert [TEXT in env_of(each) for each in spec["containers"]] == [True, False]


def test_an_option_of_the_user_would_hide_the_variable():
    found = loaded(args=["dask", "scheduler", "--preload", "mine", "--port", "1"])
    assert found["args"] == ["dask", "scheduler", "--preload", LINE, "--preload", "mine", "--port", "1"]


def test_nothing_given_is_changed():
    container = {"name": "scheduler", "env": named(A="1"), "args": ["--preload", "x"]}
    before = json.dumps(container)
    with_preload({"containers": [container]})
    assert json.dumps(container) == before


STARTS = """
import asyncio
from distributed import Scheduler
async def main():
    async with Scheduler(port=0, dashboard_address=":0") as scheduler:
        print(sorted(set(scheduler.handlers) & {"dask_operator_demand", "theirs"}))
asyncio.run(main())
"""

THEIRS = "def dask_setup(scheduler): scheduler.handlers['theirs'] = print\n"


@pytest.mark.parametrize("way", ["none", "variable", "file"])
def test_a_scheduler_runs_it_beside_the_users(tmp_path, way):
    """Dask lets a variable win over a file: what a file wants to be preloaded is not lost all the same."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    given = {PRELOAD: "theirs"} if way == "variable" else {}
    if way == "file":
        (tmp_path / "dask.yaml").write_text("distributed: {scheduler: {preload: [theirs]}}")
    env = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    env.update(env_of(loaded(env=named(**given))), PYTHONPATH=str(tmp_path), DASK_CONFIG=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", STARTS], env=env, capture_output=True, text=True, timeout=60)
    there = ["dask_operator_demand", *(["theirs"] if way != "none" else [])]
    assert done.stdout.strip() == str(there), done.stderr
