"""Defaults and plug-ins in a running operator."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD, SERVICE
from dask_gpu_k8s.operator import app
from dask_gpu_k8s.operator.shaping import DefaultsError
from tests.integration.operator.conftest import a_cluster, eventually, running


async def pods(kube):
    return {pod["metadata"]["name"]: pod for pod in (await kube.list(POD))["items"]}


async def test_everything_that_is_made_has_the_defaults(kube, tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text("labels: {team: data}\npods: {env: [{name: A, value: b}]}\n")
    async with running(kube, defaults=str(path)):
        await kube.create(DASKCLUSTER, a_cluster("foo", 1))

        async def are_there():
            found = await pods(kube)
            return len(found) == 2 and found

        for pod in (await eventually(are_there)).values():
            assert pod["metadata"]["labels"]["team"] == "data"
            assert {"name": "A", "value": "b"} in pod["spec"]["containers"][0]["env"]
        service = await kube.get(SERVICE, "foo-scheduler")
        assert service["metadata"]["labels"]["team"] == "data"


async def test_a_plugin_that_fails_is_a_condition_and_no_loop(kube, monkeypatch):
    calls = []

    def fragile(kind, obj, owner):
        calls.append((kind, owner["metadata"]["name"]))
        if owner["metadata"]["name"].startswith("bad"):
            raise ValueError("no price list")
        obj["metadata"]["annotations"]["price"] = owner["metadata"]["uid"]
        return obj

    monkeypatch.setattr(app, "installed_plugins", lambda: {"prices": fragile})
    async with running(kube) as operator:
        await kube.create(DASKCLUSTER, a_cluster("bad", 1))
        accepted = await eventually(lambda: _condition(kube, "bad", "Accepted", "PluginFailed"))
        assert accepted["message"] == "The plug-in 'prices' failed: no price list"
        await kube.create(DASKCLUSTER, a_cluster("good", 0))
        await eventually(lambda: _condition(kube, "good", "Accepted", "Accepted"))
        cluster = await kube.get(DASKCLUSTER, "good")

        async def is_priced():
            scheduler = (await pods(kube)).get("good-scheduler")
            return scheduler and scheduler["metadata"]["annotations"].get("price")

        assert await eventually(is_priced) == cluster["metadata"]["uid"]
        assert len([call for call in calls if call[1] == "bad"]) <= 5, "tried again only after a while"
        assert operator.controller.counts.errors == 0


async def _condition(kube, name, type_, reason):
    conditions = ((await kube.get(DASKCLUSTER, name)).get("status") or {}).get("conditions")
    found = find(conditions, type_) or {}
    return found.get("reason") == reason and found


@pytest.mark.parametrize("text", ["labels: [", "worker: {}"])
async def test_defaults_that_cannot_be_used_stop_the_operator_at_its_start(kube, tmp_path, text):
    path = tmp_path / "defaults.yaml"
    path.write_text(text)
    with pytest.raises(DefaultsError, match=str(path)):
        async with running(kube, defaults=str(path)):
            pass
