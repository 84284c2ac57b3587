"""Operator-wide defaults: what they add, and that the user's own wins."""

from __future__ import annotations

import pytest
import yaml

from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod, make_scheduler_service
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.shaping.defaults import DefaultsError, parse_defaults, read_defaults
from tests.unit.operator.builders import a_cluster, a_group

FILE = """
labels: {team: data}
annotations: {cost: "7"}
pods:
  labels: {network: mesh}
  env: [{name: HTTP_PROXY, value: "http://proxy:3128"}, {name: LEVEL, value: general}]
  tolerations: [{key: dask, operator: Exists}]
  nodeSelector: {disk: ssd, zone: a}
  imagePullSecrets: [{name: registry}]
workers:
  env: [{name: LEVEL, value: worker}]
  sidecars: [{name: logs, image: logs}]
  volumes: [{name: scratch, emptyDir: {}}]
"""
DEFAULTS = parse_defaults(yaml.safe_load(FILE))


def worker(**spec):
    group = a_group()
    role = {**group["spec"]["worker"], "spec": {**group["spec"]["worker"]["spec"], **spec}}
    group = {**group, "spec": {**group["spec"], "worker": role}}
    return make_worker_pod(a_cluster(), group, 0)


def test_every_object_gets_labels_and_annotations():
    service = DEFAULTS.fill(make_scheduler_service(a_cluster()))
    assert service["metadata"]["labels"]["team"] == "data"
    assert service["metadata"]["annotations"]["cost"] == "7"
    assert "network" not in service["metadata"]["labels"]


def test_pods_get_what_pods_get_and_those_of_a_part_what_it_gets():
    made, scheduler = DEFAULTS.fill(worker()), DEFAULTS.fill(make_scheduler_pod(a_cluster()))
    assert made["metadata"]["labels"]["network"] == scheduler["metadata"]["labels"]["network"] == "mesh"
    assert made["spec"]["tolerations"] == [{"key": "dask", "operator": "Exists"}]
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert made["spec"]["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert "volumes" not in scheduler["spec"]
    assert "initContainers" not in scheduler["spec"]
    [sidecar] = made["spec"]["initContainers"]
    assert sidecar == {"name": "logs", "image": "logs", "restartPolicy": "Always"}
    assert level_of(made) == "worker"
    assert level_of(scheduler) == "general"


def level_of(pod):
    [container] = pod["spec"]["containers"]
    [value] = [one["value"] for one in container["env"] if one["name"] == "LEVEL"]
    return value


def test_what_the_user_says_wins():
    container = {"name": "worker", "image": "i", "env": [{"name": "LEVEL", "value": "mine"}]}
    made = DEFAULTS.fill(
        worker(
            containers=[container],
            nodeSelector={"zone": "b"},
            volumes=[{"name": "scratch", "hostPath": {"path": "/x"}}],
            tolerations=[{"key": "dask", "operator": "Exists"}, {"key": "gpu"}],
            initContainers=[{"name": "logs", "image": "mine"}],
        )
    )
    assert level_of(made) == "mine"
    assert made["spec"]["nodeSelector"] == {"disk": "ssd", "zone": "b"}
    assert made["spec"]["volumes"] == [{"name": "scratch", "hostPath": {"path": "/x"}}]
    assert made["spec"]["tolerations"] == [{"key": "dask", "operator": "Exists"}, {"key": "gpu"}]
    assert made["spec"]["initContainers"] == [{"name": "logs", "image": "mine"}]


def test_labels_that_the_user_set_win():
    cluster = a_cluster()
    cluster["metadata"]["labels"] = {"team": "mine"}
    assert DEFAULTS.fill(make_scheduler_pod(cluster))["metadata"]["labels"]["team"] == "mine"


def test_variables_come_before_those_that_refer_to_them():
    made = DEFAULTS.fill(
        worker(containers=[{"name": "w", "image": "i", "env": [{"name": "A", "value": "$(HTTP_PROXY)"}]}])
    )
    names = [one["name"] for one in made["spec"]["containers"][0]["env"]]
    assert names.index("HTTP_PROXY") < names.index("A")


def test_nothing_is_changed_in_place():
    pod = worker()
    before = yaml.safe_dump(pod)
    DEFAULTS.fill(pod)
    assert yaml.safe_dump(pod) == before


def test_an_empty_file_changes_nothing():
    assert parse_defaults(None).fill(worker()) == worker()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label: {a: b}", "label: unknown field; did you mean 'labels'?"),
        ("workers: {sidecar: []}", "workers.sidecar: unknown field; did you mean 'sidecars'?"),
        ("labels: {a: 1}", "labels must hold keys with texts; write numbers and true in quotes."),
        ("pods: {env: {A: b}}", "pods.env must be a list of entries as Pods have them."),
        ("pods: {env: [{name: A, valu: b}]}", "pods: in a Pod this would be spec.containers[0].env[0].valu"),
        ("workers: {tolerations: [{key: 5}]}", "workers: in a Pod this would be spec.tolerations[0].key"),
        ("- a", "The file must hold fields with values."),
    ],
)
def test_what_is_not_understood_is_refused(text, said, tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text(text)
    with pytest.raises(DefaultsError) as error:
        read_defaults(str(path))
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DefaultsError, match="cannot be read"):
        read_defaults(str(tmp_path / "none.yaml"))
