"""The example in the docs works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.shaping import Shaper
from dask_gpu_k8s.operator.shaping.defaults import parse_defaults
from tests.unit.operator.builders import a_cluster, a_group

PAGE = (Path(__file__).parents[4] / "docs" / "extending.md").read_text(encoding="utf-8")


def block(language: str, which: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[which]


def test_the_file_of_defaults():
    made = parse_defaults(yaml.safe_load(block("yaml"))).fill(make_worker_pod(a_cluster(), a_group(), 0))
    assert made["metadata"]["labels"]["team"] == "data"
    assert made["spec"]["initContainers"][0]["restartPolicy"] == "Always"


def test_the_plugin():
    written: dict = {}
    exec(block("python", 1), written)
    shaper = Shaper(plugins={"billing": written["bill"]})
    group = a_group()
    group["metadata"]["labels"]["user"] = "ana"
    [container] = group["spec"]["worker"]["spec"]["containers"]
    container["resources"] = {"limits": {"nvidia.com/gpu": "2"}}
    worker = shaper.shape(make_worker_pod(a_cluster(), group, 0), group)
    assert worker["metadata"]["labels"]["billing.example/owner"] == "ana"
    assert worker["metadata"]["annotations"]["billing.example/per-hour"] == "5.0"
    assert worker["spec"]["priorityClassName"] == "ns"
    scheduler = make_scheduler_pod(a_cluster())
    assert shaper.shape(scheduler, a_cluster()) == scheduler
