"""What the cache keeps of Pods."""

from __future__ import annotations

from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.engine.trim import trim
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from tests.unit.operator.builders import a_cluster, a_group


def test_of_a_worker_its_place_is_kept_and_all_but_its_spec():
    pod = {**make_worker_pod(a_cluster(), a_group(), 0), "status": {"phase": "Running"}}
    pod["spec"] = {**pod["spec"], "nodeName": "one", "tolerations": [{"operator": "Exists"}]}
    kept = {"nodeName": "one", "terminationGracePeriodSeconds": 20, "containers": [{"name": "worker"}]}
    assert trim(freeze(pod)) == {**pod, "spec": kept}


def test_of_a_scheduler_all_is_kept():
    pod = make_scheduler_pod(a_cluster())
    assert trim(freeze(pod)) == pod
