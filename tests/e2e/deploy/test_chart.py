"""The Helm chart and the kustomizations are two ways to the same objects."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from tests.clusters import ROOT
from tests.conftest import KUBECTL
from tests.e2e.deploy.conftest import Helm

CHART = ROOT / "deploy" / "helm" / deploy.CHART


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Callable[..., dict[Any, Any]]:
    """Render the chart as the release that has the chart's name."""

    def render(*arguments: str, namespace: str = OPERATOR_NAMESPACE) -> dict[Any, Any]:
        return parse(helm("template", deploy.CHART, str(CHART), "-n", namespace, *arguments))

    return render


def parse(text: str) -> dict[Any, Any]:
    """Parse a stream of objects, by what they are called."""
    objects = [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]
    made = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in objects}
    assert len(made) == len(objects)
    return made


def kustomized(folder: str) -> dict[Any, Any]:
    """Build a kustomization."""
    command = [str(KUBECTL), "kustomize", str(ROOT / "deploy" / folder)]
    return parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def deployment_of(objects: dict[Any, Any]) -> Any:
    [found] = [one for (kind, *_), one in objects.items() if kind == "Deployment"]
    return found


def container_of(objects: dict[Any, Any]) -> Any:
    [container] = deployment_of(objects)["spec"]["template"]["spec"]["containers"]
    return container


def test_helm_finds_nothing_wrong(helm):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_by_default_it_is_the_kustomization_for_all_namespaces(rendered):
    wanted = kustomized("cluster")
    # Helm makes the namespace itself, with --create-namespace, and could not install into it otherwise.
    del wanted["Namespace", None, OPERATOR_NAMESPACE]
    assert rendered("--include-crds") == wanted


def test_the_flat_file_is_the_kustomization_for_all_namespaces():
    assert parse((ROOT / "deploy" / "install.yaml").read_text()) == kustomized("cluster")


def test_for_one_namespace_it_is_the_kustomization_for_one_namespace(rendered):
    assert rendered("--set", "rbac.cluster=false", namespace="dask") == kustomized("namespaced")


def test_roles_go_to_each_namespace_that_is_looked_after(rendered):
    made = rendered("--set", "rbac.cluster=false", "--set", "namespaces={a,b}")
    _check_two_namespaces(made)


def test_row_33_one_value_renders_the_roles_and_the_arguments(rendered):
    _check_two_namespaces(rendered("--set", "namespaces={a,b}"))


def _check_two_namespaces(made: dict[Any, Any]) -> None:
    assert {key[:2] for key in made if key[0] in ("Role", "RoleBinding")} == {
        (kind, namespace) for kind in ("Role", "RoleBinding") for namespace in ("a", "b", OPERATOR_NAMESPACE)
    }
    assert {"--namespace=a", "--namespace=b"} <= set(container_of(made)["args"])
    assert not any(kind.startswith("Cluster") for kind, *_ in made)


def test_values_that_are_fields_of_the_pod_reach_it(rendered, tmp_path):
    values = {
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    inside = {
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    more = {
        "podAnnotations": {"a": "b"},
        "extraEnv": [{"name": "A", "value": "b"}],
        "image": {"name": "registry.example/it", "tag": "7", "pullPolicy": "Always"},
        "serviceAccount": {"name": "somebody", "annotations": {"c": "d"}},
        "livenessProbe": {"timeoutSeconds": 9},
        "replicas": 2,
        "logFormat": "json",
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({**values, **inside, **more}))
    made = rendered("-f", str(file))
    pod, container = deployment_of(made)["spec"]["template"], container_of(made)
    assert {name: pod["spec"][name] for name in values} == values
    assert {name: container[name] for name in inside} == inside
    assert pod["metadata"]["annotations"] == more["podAnnotations"]
    assert container["env"][-1:] == more["extraEnv"]
    assert deployment_of(made)["spec"]["replicas"] == 2
    assert "--log-format=json" in container["args"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/it:7", "Always")
    assert container["livenessProbe"]["timeoutSeconds"] == 9
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert pod["spec"]["serviceAccountName"] == "somebody"
    assert made["ServiceAccount", OPERATOR_NAMESPACE, "somebody"]["metadata"]["annotations"] == {"c": "d"}


MONITORS = ("operator.podMonitor", "scheduler", "scheduler.serviceMonitor", "worker", "worker.podMonitor")
MONITORED = [word for name in MONITORS for word in ("--set", f"metrics.{name}.enabled=true")]


def monitors_of(made: dict[Any, Any]) -> dict[str, Any]:
    return {name: one for (kind, _, name), one in made.items() if kind in ("PodMonitor", "ServiceMonitor")}


def test_row_50_monitors_where_somebody_asks_for_them(rendered):
    assert monitors_of(rendered()) == {}
    made = monitors_of(rendered(*MONITORED))
    operator, scheduler, worker = (
        made[f"{deploy.CHART}-{end}"]
        for end in ("podmonitor", "scheduler-servicemonitor", "worker-podmonitor")
    )
    [endpoint] = operator["spec"]["podMetricsEndpoints"]
    container = container_of(rendered())
    assert endpoint["port"] in [port["name"] for port in container["ports"]]
    labels = deployment_of(rendered())["spec"]["template"]["metadata"]["labels"]
    assert operator["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert scheduler["spec"]["selector"]["matchLabels"] == {"dask.org/component": "scheduler"}
    assert scheduler["spec"]["targetLabels"] == ["dask.org/cluster-name"]
    assert scheduler["spec"]["namespaceSelector"] == {"any": True}
    assert scheduler["spec"]["endpoints"][0]["port"] == "http-dashboard"
    assert worker["spec"]["podTargetLabels"] == ["dask.org/cluster-name", "dask.org/workergroup-name"]
    assert worker["spec"]["podMetricsEndpoints"][0]["interval"] == "15s"


def test_monitors_look_where_the_operator_does_and_may_be_changed(rendered):
    made = rendered(
        *MONITORED, "--set", "namespaces={a,b}", "--set", "metrics.worker.podMonitor.namespace=monitoring",
        "--set", "metrics.worker.podMonitor.additionalLabels.release=prometheus",
        "--set", "metrics.scheduler.serviceMonitor.namespaceSelector.matchNames={c}",
        "--set-json", 'metrics.scheduler.serviceMonitor.metricRelabelings=[{"action": "drop"}]',
    )  # fmt: skip
    worker = made["PodMonitor", "monitoring", f"{deploy.CHART}-worker-podmonitor"]
    assert worker["spec"]["namespaceSelector"] == {"matchNames": ["a", "b"]}
    assert worker["metadata"]["labels"]["release"] == "prometheus"
    scheduler = monitors_of(made)[f"{deploy.CHART}-scheduler-servicemonitor"]["spec"]
    assert scheduler["namespaceSelector"] == {"matchNames": ["c"]}
    assert scheduler["endpoints"][0]["metricRelabelings"] == [{"action": "drop"}]


def test_row_50_the_dashboard_shows_what_there_is(rendered):
    from dask_gpu_k8s.operator.metrics import Metrics

    made = rendered("--set", "metrics.dashboard.enabled=true")
    config = made["ConfigMap", OPERATOR_NAMESPACE, f"{deploy.CHART}-dashboard"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    board = json.loads(config["data"]["dask-operator.json"])
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    counted = re.findall(r"^# TYPE (\S+)", Metrics(["DaskCluster"]).page(), re.MULTILINE)
    asked = {
        re.sub("_bucket$", "", name) for each in queries for name in re.findall(r"dask_operator_\w+", each)
    }
    assert {name for name in asked if name.endswith(("_total", "_seconds"))} & set(counted)
    assert not {name for name in asked if name.endswith("_total")} - set(counted)


def test_defaults_are_a_file_of_the_operator_and_a_change_restarts_it(rendered):
    one, two = (rendered("--set", f"defaults.labels.team={team}") for team in ("a", "b"))
    config = one["ConfigMap", OPERATOR_NAMESPACE, f"{deploy.CHART}-defaults"]
    assert yaml.safe_load(config["data"]["defaults.yaml"]) == {"labels": {"team": "a"}}
    container = container_of(one)
    [argument] = [word for word in container["args"] if word.startswith("--defaults=")]
    [mount] = container["volumeMounts"]
    folder, _, file = argument.removeprefix("--defaults=").rpartition("/")
    assert (mount["mountPath"], list(config["data"])) == (folder, [file])
    template, other = (deployment_of(made)["spec"]["template"] for made in (one, two))
    [volume] = template["spec"]["volumes"]
    assert volume == {"name": mount["name"], "configMap": {"name": config["metadata"]["name"]}}
    assert template["metadata"]["annotations"] != other["metadata"]["annotations"]


def test_an_account_of_ones_own_is_used_and_not_made(rendered):
    made = rendered("--set", "serviceAccount.create=false", "--set", "serviceAccount.name=mine")
    assert not any(kind == "ServiceAccount" for kind, *_ in made)
    binding = made["ClusterRoleBinding", None, deploy.CHART]
    assert binding["subjects"][0]["name"] == "mine"


def test_without_rbac_there_is_none(rendered):
    assert {kind for kind, *_ in rendered("--set", "rbac.create=false")} == {"ServiceAccount", "Deployment"}


def test_another_release_has_other_names(helm):
    made = parse(helm("template", "mine", str(CHART), "-n", "there"))
    assert {name for _, _, name in made} == {
        f"mine-{deploy.CHART}{end}" for end in ("", "-lease", "-view", "-edit", "-admin")
    }


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("kopfArgs={--all-namespaces}", "Set namespaces"),
        ("imagePullSecret=x", "'imagePullSecret' not allowed"),
        ("logLevel=chatty", "logLevel"),
    ],
)
def test_what_is_not_a_value_is_refused(helm, setting, said):
    assert said in helm("template", "x", str(CHART), "--set", setting, check=False)
