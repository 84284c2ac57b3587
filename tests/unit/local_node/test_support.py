"""What the node says it cannot do."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.local.node.support import unsupported
from tests.unit.local_node.builders import container, make_pod


def mounting(path, **volume):
    mount = {"name": "v", "mountPath": path}
    return make_pod(container(volumeMounts=[mount]), volumes=[{"name": "v", **volume}])


@pytest.mark.parametrize(
    "pod",
    [
        make_pod(),
        mounting("/dev/shm", emptyDir={"medium": "Memory"}),
        mounting("/data/", hostPath={"path": "/data"}),
        mounting("/config", configMap={"name": "c"}),
        mounting("/keys", secret={"secretName": "s"}),
        make_pod(volumes=[{"name": "unused", "configMap": {"name": "c"}}]),
        make_pod(container(readinessProbe={"httpGet": {"port": 80}})),
        make_pod(container(ports=[{"containerPort": 80}])),
        make_pod(securityContext={"runAsUser": 1000, "runAsNonRoot": True}),
    ],
)
def test_supported(pod):
    assert unsupported(pod, user=1000) is None


REFUSED = {
    "volume v cannot be mounted at /data": mounting("/data", persistentVolumeClaim={"claimName": "c"}),
    "volume v cannot be mounted at /tmp": mounting("/tmp", emptyDir={}),
    "readinessProbe: grpc is not supported": make_pod(container(readinessProbe={"grpc": {"port": 1}})),
    "hostPort 80 is not supported": make_pod(container(ports=[{"containerPort": 80, "hostPort": 80}])),
    "runAsUser 0 is not possible": make_pod(securityContext={"runAsUser": 0}),
    "a sidecar": make_pod(init=[container("s", restartPolicy="Always")]),
    "volumeDevices are not supported": make_pod(container(volumeDevices=[{"name": "d"}])),
}


@pytest.mark.parametrize(("part", "pod"), REFUSED.items())
def test_refused_with_the_reason(part, pod):
    assert part in unsupported(pod, user=1000)


def test_root_cannot_be_somebody_else():
    pod = make_pod(container(securityContext={"runAsNonRoot": True}))
    assert "runAsNonRoot" in unsupported(pod, user=0)
