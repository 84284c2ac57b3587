"""What a Pod gets that its author left out.

Source: Kubernetes' API reference, the defaults named with each field of PodSpec, Container and Probe.
"""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api.types import Manifest

_SPEC: dict[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "securityContext": {},
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
}
_CONTAINER: dict[str, Any] = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for state in ("not-ready", "unreachable")
]


def fill(pod: Manifest, old: Manifest | None = None) -> Manifest:
    """Fill in the defaults of a Pod; an old Pod has them already, so only what is missing is added."""
    spec = pod.get("spec") or {}
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    filled = {**_SPEC, **spec, "serviceAccountName": account, "serviceAccount": account}
    for group in ("containers", "initContainers"):
        if spec.get(group):
            filled[group] = [_container(entry) for entry in spec[group]]
    if old is None:
        filled["tolerations"] = _with_tolerations(spec.get("tolerations") or [])
    if spec.get("volumes"):
        filled["volumes"] = [_volume(volume) for volume in spec["volumes"]]
    return {**pod, "spec": filled}


def _with_tolerations(own: list[Manifest]) -> list[Manifest]:
    """Add what every Pod tolerates for five minutes, unless its author spoke of it."""
    spoken = {entry.get("key") for entry in own if entry.get("effect") in (None, "", "NoExecute")}
    if None in spoken:
        return own
    return [*own, *(entry for entry in _TOLERATIONS if entry["key"] not in spoken)]


def _container(entry: Manifest) -> Manifest:
    filled = {**_CONTAINER, "imagePullPolicy": _pull_policy(entry.get("image") or ""), **entry}
    for name in _PROBES:
        if entry.get(name):
            filled[name] = _probe(entry[name])
    if entry.get("resources"):
        filled["resources"] = _resources(entry["resources"])
    if entry.get("env"):
        filled["env"] = [_variable(variable) for variable in entry["env"]]
    if entry.get("lifecycle"):
        filled["lifecycle"] = {key: _action(value) for key, value in entry["lifecycle"].items()}
    return filled


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def _probe(probe: Manifest) -> Manifest:
    return {**_PROBE, **_action(probe)}


def _action(action: Any) -> Any:
    if isinstance(action, dict) and isinstance(action.get("httpGet"), dict):
        return {**action, "httpGet": {"path": "/", "scheme": "HTTP", **action["httpGet"]}}
    return action


def _resources(resources: Manifest) -> Manifest:
    """Write amounts as text; a limit without a request is the request too."""
    found = dict(resources)
    for side in ("limits", "requests"):
        if resources.get(side):
            found[side] = {key: str(value) for key, value in resources[side].items()}
    if found.get("limits"):
        found["requests"] = {**found["limits"], **(found.get("requests") or {})}
    return found


def _variable(variable: Manifest) -> Manifest:
    ref = (variable.get("valueFrom") or {}).get("fieldRef")
    if not ref:
        return variable
    return {**variable, "valueFrom": {**variable["valueFrom"], "fieldRef": {"apiVersion": "v1", **ref}}}


def _volume(volume: Manifest) -> Manifest:
    filled = dict(volume)
    for kind in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(kind), dict):
            filled[kind] = {"defaultMode": 420, **volume[kind]}
    if isinstance(volume.get("hostPath"), dict):
        filled["hostPath"] = {"type": "", **volume["hostPath"]}
    return filled if len(volume) > 1 else {**filled, "emptyDir": {}}
