"""Variables of containers and the references between them."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest

from dask_gpu_k8s.local.node.environment import (
    NotConfigured,
    Surroundings,
    command_line,
    container_variables,
    expand,
    service_variables,
)
from tests.unit.local_node.builders import container, make_pod


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "a"),
        ("x$(A)y$(B)z", "xaybz"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("cost: 5$", "cost: 5$"),
        ("", ""),
    ],
)
def test_expand(text, expanded):
    assert expand(text, {"A": "a", "B": "b"}) == expanded


OBJECTS = {
    ("ConfigMap", "settings"): {"data": {"LEVEL": "7", "MODE": "fast"}},
    ("Secret", "token"): {"data": {"TOKEN": base64.b64encode(b"s3cret").decode()}},
}


def variables(pod=None, services=(), **spec):
    pod = pod or make_pod(container(**spec), enableServiceLinks=False)
    around = Surroundings(
        pod=pod,
        address="127.97.0.2",
        host="127.0.0.1",
        allocatable={"cpu": Decimal(8), "memory": Decimal(2**34)},
        services=services,
        lookup=lambda kind, name: OBJECTS.get((kind, name)),
        always={"KUBERNETES_SERVICE_HOST": "127.0.0.1"},
    )
    found = container_variables(pod["spec"]["containers"][0], around)
    assert found.pop("KUBERNETES_SERVICE_HOST") == "127.0.0.1"
    return found


def test_later_variables_see_earlier_ones_and_not_the_other_way():
    env = [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(A)$(B)"}]
    assert variables(env=env) == {"A": "$(B)", "B": "b", "C": "$(B)b"}


def test_a_variable_without_value_is_empty():
    assert variables(env=[{"name": "A"}]) == {"A": ""}


def test_env_from_with_prefix_loses_against_env():
    env_from = [{"configMapRef": {"name": "settings"}}, {"prefix": "S_", "secretRef": {"name": "token"}}]
    found = variables(envFrom=env_from, env=[{"name": "MODE", "value": "slow $(LEVEL)"}])
    assert found == {"LEVEL": "7", "MODE": "slow 7", "S_TOKEN": "s3cret"}


FIELDS = {
    "metadata.name": "pod",
    "metadata.namespace": "ns",
    "metadata.uid": "u1",
    "metadata.labels['app.kubernetes.io/name']": "dask",
    "metadata.annotations['none']": "",
    "spec.nodeName": "local",
    "spec.serviceAccountName": "default",
    "status.podIP": "127.97.0.2",
    "status.hostIP": "127.0.0.1",
}


@pytest.mark.parametrize(("path", "value"), FIELDS.items())
def test_field_ref(path, value):
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    meta = {"labels": {"app.kubernetes.io/name": "dask"}}
    assert variables(make_pod(container(env=env), meta=meta)) == {"X": value}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "requests.cpu"}, "1"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "1024"),
        ({"resource": "requests.memory"}, str(2**30)),
        ({"resource": "limits.cpu", "containerName": "other"}, "8"),
    ],
)
def test_resource_field_ref(reference, value):
    resources = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": reference}}]
    pod = make_pod(container(env=env, resources=resources), container("other"))
    assert variables(pod) == {"X": value}


REFERENCES = {
    "configMapKeyRef": ("settings", "LEVEL", "7"),
    "secretKeyRef": ("token", "TOKEN", "s3cret"),
}


@pytest.mark.parametrize(("form", "expected"), REFERENCES.items())
def test_key_ref(form, expected):
    name, key, value = expected
    assert variables(env=[{"name": "X", "valueFrom": {form: {"name": name, "key": key}}}]) == {"X": value}


MISSING = {
    'configmap "gone" not found': {"configMapKeyRef": {"name": "gone", "key": "K"}},
    'secret "gone" not found': {"secretKeyRef": {"name": "gone", "key": "K"}},
    "couldn't find key K in Secret ns/token": {"secretKeyRef": {"name": "token", "key": "K"}},
    "this node cannot give fileKeyRef": {"fileKeyRef": {}},
    "fieldRef 'spec.nonsense' is not one of": {"fieldRef": {"fieldPath": "spec.nonsense"}},
}


@pytest.mark.parametrize(("message", "source"), MISSING.items())
def test_what_is_missing_is_named(message, source):
    with pytest.raises(NotConfigured, match=message) as refused:
        variables(env=[{"name": "X", "valueFrom": source}])
    assert refused.value.problem.reason == "CreateContainerConfigError"


def test_optional_references_may_be_missing():
    optional = {"name": "gone", "key": "K", "optional": True}
    env = [{"name": "X", "valueFrom": {"secretKeyRef": optional}}]
    env_from = [{"configMapRef": {"name": "gone", "optional": True}}]
    assert variables(env=env, envFrom=env_from) == {}


SERVICE = {
    "metadata": {"name": "my-db", "namespace": "ns"},
    "spec": {"clusterIP": "127.96.0.9", "ports": [{"name": "tcp-comm", "port": 8786, "protocol": "TCP"}]},
}


def test_service_variables():
    assert service_variables([SERVICE]) == {
        "MY_DB_SERVICE_HOST": "127.96.0.9",
        "MY_DB_SERVICE_PORT": "8786",
        "MY_DB_SERVICE_PORT_TCP_COMM": "8786",
        "MY_DB_PORT": "tcp://127.96.0.9:8786",
        "MY_DB_PORT_8786_TCP": "tcp://127.96.0.9:8786",
        "MY_DB_PORT_8786_TCP_PROTO": "tcp",
        "MY_DB_PORT_8786_TCP_PORT": "8786",
        "MY_DB_PORT_8786_TCP_ADDR": "127.96.0.9",
    }


def test_service_links_only_where_they_are_wanted():
    assert variables(services=[SERVICE]) == {}
    assert "MY_DB_SERVICE_HOST" in variables(make_pod(), services=[SERVICE])


def test_headless_services_have_no_variables():
    assert service_variables([{**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}]) == {}


def test_command_line():
    words = container(command=["run", "--name", "$(N)"], args=["$$(N)"])
    assert command_line(words, {"N": "n"}) == ["run", "--name", "n", "$(N)"]


def test_args_alone_are_the_command():
    assert command_line({"name": "c", "args": ["dask", "scheduler"]}, {}) == ["dask", "scheduler"]


def test_no_command_at_all_is_refused():
    with pytest.raises(NotConfigured, match="no command specified") as refused:
        command_line({"name": "c"}, {})
    assert refused.value.problem.reason == "CreateContainerError"
