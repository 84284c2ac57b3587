"""Pods wait for what they ask for, and get GPUs of their own."""

from __future__ import annotations

GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}


def test_gpus_are_counted_and_each_pod_has_its_own(cluster):
    for name in "abc":
        cluster.run("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 60", name=name, container=GPU)
    for name in "ab":
        cluster.wait("Ready", name)
    assert sorted(cluster.kubectl("logs", name).strip() for name in "ab") == ["0", "1"]
    waiting = cluster.get("c")["status"]
    assert waiting["phase"] == "Pending"
    (condition,) = waiting["conditions"]
    assert condition["reason"] == "Unschedulable"
    message = dict(cluster.events("c"))["FailedScheduling"]
    assert condition["message"] == message
    assert message.startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")

    freed = cluster.kubectl("logs", "a").strip()
    cluster.kubectl("delete", "pod", "a")
    cluster.wait("Ready", "c")
    assert cluster.kubectl("logs", "c").strip() == freed


def test_without_a_request_no_gpu_is_visible(cluster):
    cluster.run("sh", "-c", 'echo "[$CUDA_VISIBLE_DEVICES]"', restartPolicy="Never")
    cluster.wait("{.status.phase}=Succeeded")
    assert cluster.kubectl("logs", "p") == "[]\n"


def test_node_selector_and_labels(cluster):
    cluster.run("sleep", "60", nodeSelector={"disk": "ssd"})
    cluster.wait("{.status.conditions[0].reason}=Unschedulable")
    assert "didn't match Pod's node affinity/selector" in dict(cluster.events())["FailedScheduling"]
    cluster.kubectl("label", "node", "local", "disk=ssd")
    cluster.wait("Ready")
    cluster.kubectl("label", "node", "local", "disk-")


def test_foreign_schedulers_are_left_their_pods(cluster):
    cluster.run("sleep", "60", name="foreign", schedulerName="other")
    cluster.run("sleep", "60", name="own")
    cluster.wait("Ready", "own")
    assert "nodeName" not in cluster.get("foreign")["spec"]
    assert cluster.events("foreign") == []


def test_what_a_pod_asks_is_seen_on_the_node(cluster):
    described = cluster.kubectl("describe", "node", "local")
    assert "nvidia.com/gpu" in described
    assert "Ready" in described
