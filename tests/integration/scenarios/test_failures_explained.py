"""What a start that fails says, and after how many seconds; and what it waits for instead."""

from __future__ import annotations

import json
import re
import time
from concurrent import futures

import pytest

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.errors import CRDsMissing, DaskClusterError, NotAllowed, OperatorNotFound, StartFailed
from tests.clusters import REAL, api_alone

PATIENT = 300
"""A `resource_timeout` that none of the causes which do not mend themselves is to wait for."""
EARLY = 100


def settings_of(kubernetes) -> dict:
    return {
        "kubeconfig": kubernetes.kubeconfig,
        "namespace": kubernetes.namespace,
        "name": "demo",
        "quiet": True,
    }


@pytest.fixture
def settings(kubernetes):
    return settings_of(kubernetes)


@pytest.fixture
def fails(record_property):
    """Start a cluster that cannot be; return its error, and put cause and seconds into the run's table."""

    def start(cause: str, settings: dict, **arguments) -> DaskClusterError:
        begun = time.monotonic()
        with pytest.raises(DaskClusterError) as caught:
            KubeCluster(**{**settings, **arguments})
        seconds = time.monotonic() - begun
        first = str(caught.value).splitlines()[0]
        record_property("note", f"failure: {cause}: {seconds:.1f} s: {first}")
        assert seconds < EARLY
        return caught.value

    return start


def overlay(**container) -> dict:
    return {"overlay": {"spec": {"containers": [{"name": "scheduler", **container}]}}}


SECRET = {"env_from": ["no-such-secret"]}
CONFIG_MAP = {
    "volumes": [{"name": "config", "configMap": {"name": "no-such-map"}}],
    "volume_mounts": [{"name": "config", "mountPath": "/etc/config"}],
}
GREEDY = overlay(
    args=["python", "-c", "print('gulp', flush=True); bytearray(1 << 30)"],
    resources={"limits": {"memory": "100Mi"}},
)
on_a_node = pytest.mark.only(REAL, "it takes images and limits of memory")

CAUSES = {
    "missing secret": (SECRET, r"CreateContainerConfigError", r'secret "no-such-secret" not found', ""),
    "missing config map": (CONFIG_MAP, "FailedMount", r'configmap "no-such-map" not found', ""),
    "crash loop": (
        overlay(args=["python", "-c", "print(1/0)"]),
        "CrashLoopBackOff",
        "exit code 1: ZeroDivisionError",
        "ZeroDivisionError",
    ),
    "command not found": (
        overlay(args=["no-such-program"]),
        "StartError",
        r'exec: "no-such-program": executable file not found in \$PATH',
        "",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_row_10_a_scheduler_that_cannot_be_says_why_early(settings, fails, kubernetes, cause):
    options, reason, message, log = CAUSES[cause]
    error = fails(cause, settings, scheduler_options=options, resource_timeout=PATIENT)
    assert isinstance(error, StartFailed)
    assert (error.pod, error.reason) == ("demo-scheduler", reason)
    assert re.search(message, str(error))
    assert error.event
    assert log in error.log
    assert gone(kubernetes)


@on_a_node
def test_row_10_an_image_that_cannot_be_pulled(settings, fails, kubernetes):
    image = "registry.invalid/no/such-image:1"
    error = fails("image", settings, image=image, resource_timeout=PATIENT)
    assert (error.pod, error.reason) in {
        ("demo-scheduler", "ErrImagePull"),
        ("demo-scheduler", "ImagePullBackOff"),
    }
    assert image in str(error)
    assert error.event
    assert gone(kubernetes)


@on_a_node
def test_row_10_a_scheduler_that_needs_more_memory_than_it_may_have(settings, fails):
    error = fails("OOM kill", settings, scheduler_options=GREEDY, resource_timeout=PATIENT)
    assert (error.pod, error.reason) == ("demo-scheduler", "OOMKilled")
    assert "its limit of 100Mi" in str(error)
    assert "gulp" in error.log


def test_row_10_a_quota_that_is_used_up(settings, fails, kubernetes):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps({**quota, "spec": {"hard": {"pods": "0"}}}))
    # It counts once its controller has taken note of it.
    kubernetes.kubectl("wait", "--for=jsonpath={.status.hard.pods}=0", "resourcequota/tight", "--timeout=30s")
    error = fails("quota", settings, resource_timeout=PATIENT)
    assert (error.pod, error.reason) == ("", "QuotaExceeded")
    assert "exceeded quota: tight" in str(error)


def test_row_10_a_scheduler_that_fits_on_no_node(settings, fails, kubernetes):
    """A node may be on its way of which Kubernetes says nothing: that takes the whole `resource_timeout`."""
    error = fails(
        "unschedulable, resource_timeout=10",
        settings,
        scheduler_resources={"limits": {"nvidia.com/gpu": 99}},
        resource_timeout=10,
    )
    assert (error.pod, error.reason) == ("demo-scheduler", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in error.event
    assert gone(kubernetes)


@pytest.mark.only(REAL, "the embedded Kubernetes lets everybody do everything")
def test_row_10_who_may_not(settings, fails, kubernetes, tmp_path):
    kubernetes.kubectl("create", "serviceaccount", "nobody")
    token = kubernetes.kubectl("create", "token", "nobody").strip()
    kubeconfig = json.loads(kubernetes.kubectl("config", "view", "--raw", "-o", "json"))
    kubeconfig["users"] = [{"name": user["name"], "user": {"token": token}} for user in kubeconfig["users"]]
    error = fails("forbidden", settings, kubeconfig=kubeconfig)
    assert isinstance(error, NotAllowed)
    assert "cannot get resource" in str(error)


@pytest.mark.only(REAL, "an API server without controllers is a real one")
def test_row_10_no_definitions_old_definitions_no_operator(dask_cluster, fails, kubernetes):
    from tests.e2e.node import versions

    with api_alone(f"api-{versions.KUBERNETES}") as kubeconfig:
        settings = {"kubeconfig": kubeconfig, "namespace": "default", "name": "demo", "quiet": True}

        def apply(definition) -> None:
            kubectl = ("--kubeconfig", str(kubeconfig))
            kubernetes.kubectl(*kubectl, "apply", "--server-side", "-f", "-", stdin=json.dumps(definition))
            while "daskclusters" not in kubernetes.kubectl(*kubectl, "api-resources", check=False):
                time.sleep(0.1)

        assert isinstance(fails("no CRDs", settings), CRDsMissing)
        (definition,) = [each for each in crds() if each["spec"]["names"]["kind"] == "DaskCluster"]
        version = definition["spec"]["versions"][0]
        subresources = version.pop("subresources")
        apply(definition)
        error = fails("old CRDs", settings)
        assert isinstance(error, CRDsMissing)
        assert "older than this package: it lacks the subresource status" in str(error)
        version["subresources"] = subresources
        apply(definition)
        error = fails("no operator", settings)
        assert isinstance(error, OperatorNotFound)
        assert "none is installed" in str(error)


def gone(kubernetes) -> bool:
    return kubernetes.kubectl("get", "daskclusters", "-o", "name") == ""


def test_row_11_a_node_that_comes_later_than_the_timeout_is_waited_for(settings, kubernetes):
    """Kubernetes' autoscaler says that it is being made: that is progress, however long it takes."""
    timeout, resource = 10, f"example.org/{kubernetes.namespace}"
    with futures.ThreadPoolExecutor(1) as thread:
        begun = time.monotonic()
        limits = {"limits": {resource: "1"}}
        making = thread.submit(KubeCluster, scheduler_resources=limits, resource_timeout=timeout, **settings)
        kubernetes.kubectl("wait", "--for=create", "pod/demo-scheduler", "--timeout=30s")
        say_that_a_node_comes(kubernetes, "demo-scheduler")
        with pytest.raises(futures.TimeoutError):
            making.result(begun + 2 * timeout - time.monotonic())
        node = kubernetes.kubectl("get", "nodes", "-o", "name").split()[0]
        for field in ("capacity", "allocatable"):
            path = f"/status/{field}/{resource.replace('/', '~1')}"
            patch = json.dumps([{"op": "add", "path": path, "value": "1"}])
            kubernetes.kubectl("patch", node, "--subresource=status", "--type=json", "-p", patch)
        making.result(60).close()


def say_that_a_node_comes(kubernetes, pod: str) -> None:
    uid = kubernetes.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "scale-up", "namespace": kubernetes.namespace},
        "involvedObject": {"kind": "Pod", "namespace": kubernetes.namespace, "name": pod, "uid": uid},
        "type": "Normal",
        "reason": "TriggeredScaleUp",
        "message": "pod triggered scale-up: [{gpu-pool 0->1 (max: 4)}]",
        "source": {"component": "cluster-autoscaler"},
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(event))
