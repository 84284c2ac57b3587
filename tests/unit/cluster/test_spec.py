"""The resources made from arguments, one golden file per option.

``python -m tests.unit.cluster.test_spec`` writes the files anew; read the diff before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dask_gpu_k8s import PodOptions, make_cluster_spec, make_scheduler_spec, make_worker_spec
from dask_gpu_k8s.api.manifests import validate_custom
from dask_gpu_k8s.cluster import spec as specs
from dask_gpu_k8s.errors import InvalidArgument
from dask_gpu_k8s.kube.frozen import freeze

GOLDEN = Path(__file__).with_name("golden")
IMAGE = "ghcr.io/dask/dask:2026.8.0-py3.12"
PAGE_IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"
PAGE = {
    "name": "rapids-dask",
    "image": PAGE_IMAGE,
    "n_workers": 3,
    "resources": {"limits": {"nvidia.com/gpu": "1"}},
    "worker_command": "dask-cuda-worker",
}


def both(**options):
    """Give the same option to scheduler and workers."""
    return {"scheduler_options": options, "worker_options": options}


TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
AFFINITY = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "demo"}}}
        ]
    }
}
OVERLAY = {
    "metadata": {"annotations": {"note": "last"}},
    "spec": {
        "hostIPC": True,
        "containers": [
            {"name": "worker", "env": [{"name": "A", "value": "2"}], "securityContext": {"runAsUser": 0}},
            {"name": "sidecar", "image": "busybox"},
        ],
    },
}

CASES = {
    "minimal": {},
    "page": PAGE,
    "n_workers": {"n_workers": 0},
    "resources": {"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}, "requests": {"cpu": 0.5}}},
    "scheduler_resources": {"scheduler_resources": {"requests": {"cpu": "1"}}},
    "env_mapping": {"env": {"A": "1", "THREADS": 2}},
    "env_list": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
    "worker_command": {"worker_command": "dask worker --nthreads 2 --preload 'my file.py'"},
    "worker_command_list": {"worker_command": ["dask", "worker", "--preload", "my file.py"]},
    "scheduler_service_type": {"scheduler_service_type": "NodePort"},
    "idle_timeout": {"idle_timeout": 3600},
    "ttl": {"ttl": 300},
    "jupyter": {"jupyter": True},
    "security": {"security": True},
    "labels": both(labels={"team": "blue"}),
    "annotations": both(annotations={"sidecar.istio.io/inject": "false"}),
    "node_selector": both(node_selector={"gpu": "a100"}),
    "tolerations": both(tolerations=[TOLERATION]),
    "affinity": both(affinity=AFFINITY),
    "priority_class": both(priority_class="high"),
    "service_account": both(service_account="dask"),
    "volumes": both(
        volumes=[{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        volume_mounts=[{"name": "shm", "mountPath": "/dev/shm"}],
    ),
    "image_pull_secrets": both(image_pull_secrets=["registry", {"name": "other"}]),
    "env_from": both(env_from=["s3-credentials", {"configMapRef": {"name": "settings"}}]),
    "runtime_class": both(runtime_class="nvidia"),
    "overlay": {
        "env": {"A": "1", "B": "1"},
        "worker_options": {"labels": {"team": "blue"}, "overlay": OVERLAY},
    },
}


def make(arguments):
    return make_cluster_spec(**{"name": "demo", "image": IMAGE, **arguments})


def written(manifest) -> str:
    return yaml.safe_dump(manifest, sort_keys=False)


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    assert written(make(CASES[case])) == (GOLDEN / f"{case}.yaml").read_text()


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES) | {"the_page"}


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_fits_the_custom_resource(case):
    assert validate_custom(make(CASES[case])) == []


@pytest.mark.parametrize("case", CASES)
def test_no_argument_is_changed(case):
    frozen = {name: freeze(value) for name, value in CASES[case].items()}
    assert written(make(frozen)) == written(make(CASES[case]))


def test_what_is_made_shares_nothing_with_the_arguments():
    env, resources = [{"name": "A", "value": "1"}], {"limits": {"cpu": "1"}}
    made = make({"env": env, "resources": resources})
    made["spec"]["worker"]["spec"]["containers"][0]["env"][0]["value"] = "2"
    made["spec"]["worker"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2"
    assert (env, resources) == ([{"name": "A", "value": "1"}], {"limits": {"cpu": "1"}})
    assert made["spec"]["scheduler"]["spec"]["containers"][0]["env"][0]["value"] == "1"


def test_the_same_resource_as_the_page_shows():
    """Equal to the page's manifest but for name and label, replicas, scheduler command and probes."""
    page = yaml.safe_load((GOLDEN / "the_page.yaml").read_text())
    made = make(PAGE)
    for name, manifest in (("rapids-dask-cluster", page), ("rapids-dask", made)):
        assert manifest["metadata"].pop("name") == name
        assert manifest["metadata"]["labels"].pop("dask.org/cluster-name") == name
        assert manifest["spec"]["scheduler"]["service"]["selector"].pop("dask.org/cluster-name") == name
    page_scheduler = page["spec"]["scheduler"]["spec"]["containers"][0]
    scheduler = made["spec"]["scheduler"]["spec"]["containers"][0]
    assert page_scheduler.pop("env") is None
    assert (page_scheduler.pop("args"), scheduler.pop("args")) == (["dask-scheduler"], ["dask", "scheduler"])
    assert (page["spec"]["worker"].pop("replicas"), made["spec"]["worker"].pop("replicas")) == (2, 3)
    assert page_scheduler["readinessProbe"].pop("initialDelaySeconds") == 5
    assert scheduler.pop("startupProbe")["periodSeconds"] == 1
    assert made == page


def test_the_scheduler_gets_no_gpu():
    made = make(PAGE)
    assert "resources" not in made["spec"]["scheduler"]["spec"]["containers"][0]


def test_upstreams_positions():
    """What upstream takes by position stands at the same place."""
    made = make_cluster_spec(
        "demo", IMAGE, 2, {"limits": {"cpu": 1}}, {"A": "1"}, "dask worker", "NodePort", 60, True
    )
    assert made["spec"]["idleTimeout"] == 60
    assert made["spec"]["worker"] == make_worker_spec(
        IMAGE, 2, {"limits": {"cpu": 1}}, {"A": "1"}, "dask worker"
    )
    assert made["spec"]["scheduler"] == make_scheduler_spec("demo", {"A": "1"}, None, IMAGE, "NodePort", True)


def test_defaults_of_the_builders(monkeypatch):
    monkeypatch.setattr(specs, "default_image", lambda: "the-default")
    worker = make_worker_spec()
    assert worker["replicas"] == 3
    assert worker["spec"]["containers"][0]["image"] == "the-default"
    assert worker["spec"]["containers"][0]["args"] == ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"]
    assert "replicas" not in make_cluster_spec("demo")["spec"]["worker"], "the custom resource decides"


def test_options_may_be_a_dataclass():
    options = {"priority_class": "high", "labels": {"team": "blue"}}
    assert make({"worker_options": PodOptions(**options)}) == make({"worker_options": options})


def test_an_overlay_that_is_no_part_of_a_pod():
    with pytest.raises(InvalidArgument, match=r"worker_options\['overlay'\]: 'specs' is no part .*'spec'"):
        make({"worker_options": {"overlay": {"specs": {}}}})


def test_an_overlay_with_directives_that_make_no_sense():
    with pytest.raises(InvalidArgument, match=r"\$patch"):
        make({"worker_options": {"overlay": {"spec": {"$patch": "forget"}}}})


def main() -> None:
    for case, arguments in CASES.items():
        (GOLDEN / f"{case}.yaml").write_text(written(make(arguments)))


if __name__ == "__main__":
    main()
