"""Operator-wide defaults: what every object, or every Pod of a part, gets unless its owner says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.manifests import pod_schema
from dask_gpu_k8s.api.schema import did_you_mean, unknown_fields, validate
from dask_gpu_k8s.api.types import Manifest

PARTS = {"schedulers": labels.SCHEDULER, "workers": labels.WORKER, "runners": labels.JOB_RUNNER}
"""Sections for the Pods of one part, by the component that the Pods' label names."""

MAPPINGS = ("labels", "annotations", "nodeSelector")
LISTS = ("env", "sidecars", "tolerations", "volumes", "imagePullSecrets")


class DefaultsError(Exception):
    """The file of defaults cannot be used; the message says why and where."""


@dataclass(frozen=True)
class PodDefaults:
    """What Pods get.

    Attributes
    ----------
    labels, annotations, nodeSelector : mapping
        Entries for keys that are not there.
    env : tuple of dict
        Variables for every container that does not set them itself.
    sidecars : tuple of dict
        Containers that start before the others and end after them.
    tolerations, volumes, imagePullSecrets : tuple of dict
        Entries of the lists of these names.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    nodeSelector: Mapping[str, str] = field(default_factory=dict)  # noqa: N815 (as in the file)
    env: tuple[Manifest, ...] = ()
    sidecars: tuple[Manifest, ...] = ()
    tolerations: tuple[Manifest, ...] = ()
    volumes: tuple[Manifest, ...] = ()
    imagePullSecrets: tuple[Manifest, ...] = ()  # noqa: N815 (as in the file)

    def over(self, other: PodDefaults) -> PodDefaults:
        """Return these and the other's, which give way."""
        fields: dict[str, Any] = {name: {**getattr(other, name), **getattr(self, name)} for name in MAPPINGS}
        fields |= {name: _joined(getattr(other, name), getattr(self, name)) for name in LISTS}
        return PodDefaults(**fields)


@dataclass(frozen=True)
class Defaults:
    """What objects get.

    Attributes
    ----------
    labels, annotations : mapping
        For every object.
    pods : mapping of str to PodDefaults
        By component; ``""`` for Pods of any other.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pods: Mapping[str, PodDefaults] = field(default_factory=dict)

    def fill(self, obj: Manifest) -> Manifest:
        """Return a new object with what is not in it already."""
        made = {**obj, "metadata": _filled(obj["metadata"], self.labels, self.annotations)}
        if obj["kind"] != "Pod" or not self.pods:
            return made
        component = (obj["metadata"].get("labels") or {}).get(labels.COMPONENT, "")
        return _fill_pod(made, self.pods.get(component, self.pods[""]))


def read_defaults(path: str) -> Defaults:
    """Read a file of defaults.

    Raises
    ------
    DefaultsError
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DefaultsError(f"The defaults in {path} cannot be read: {error}") from error
    try:
        return parse_defaults(content)
    except DefaultsError as error:
        raise DefaultsError(f"{path}: {error}") from None


def parse_defaults(content: Any) -> Defaults:
    """Make defaults of the content of a file.

    Raises
    ------
    DefaultsError
        If anything in it is not understood.
    """
    given = _section(content, "", ("labels", "annotations", "pods", *PARTS))
    general = _pod_defaults(given.get("pods"), "pods")
    pods = {"": general}
    for name, component in PARTS.items():
        pods[component] = _pod_defaults(given.get(name), name).over(general)
    return Defaults(
        _texts(given.get("labels"), "labels"), _texts(given.get("annotations"), "annotations"), pods
    )


def _pod_defaults(content: Any, where: str) -> PodDefaults:
    given = _section(content, where, (*MAPPINGS, *LISTS))
    fields: dict[str, Any] = {name: _texts(given.get(name), f"{where}.{name}") for name in MAPPINGS}
    fields |= {name: _entries(given.get(name), f"{where}.{name}") for name in LISTS}
    made = PodDefaults(**fields)
    _check(made, where)
    return made


def _check(defaults: PodDefaults, where: str) -> None:
    """Let the schema of Pods judge what becomes of them in an otherwise empty one."""
    empty = {"metadata": {}, "spec": {"containers": [{"name": "any"}]}}
    pod = _fill_pod(empty, defaults)
    schema = pod_schema()
    wrong = [f"{path}: unknown field" for path in unknown_fields(schema, pod)]
    wrong += [str(error) for error in validate(schema, pod)]
    if wrong:
        raise DefaultsError(f"{where}: in a Pod this would be {'; '.join(wrong)}")


def _section(content: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise DefaultsError(f"{where or 'The file'} must hold fields with values.")
    for name in content:
        if name not in known:
            meant = did_you_mean(str(name), known)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(known)}"
            raise DefaultsError(f"{where}{'.' if where else ''}{name}: unknown field; {hint}")
    return content


def _texts(content: Any, where: str) -> dict[str, str]:
    given = content or {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise DefaultsError(f"{where} must hold keys with texts; write numbers and true in quotes.")
    return given


def _entries(content: Any, where: str) -> tuple[Manifest, ...]:
    given = content or []
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise DefaultsError(f"{where} must be a list of entries as Pods have them.")
    return tuple(given)


def _fill_pod(pod: Manifest, defaults: PodDefaults) -> Manifest:
    spec = dict(pod["spec"])
    if defaults.nodeSelector:
        spec["nodeSelector"] = {**defaults.nodeSelector, **(spec.get("nodeSelector") or {})}
    for name in ("tolerations", "volumes", "imagePullSecrets"):
        if added := getattr(defaults, name):
            spec[name] = list(_joined(added, tuple(spec.get(name) or ())))
    if defaults.sidecars:
        # Such a container does not keep a Pod from ending, and is there before the others.
        sidecars = tuple({"restartPolicy": "Always", **one} for one in defaults.sidecars)
        spec["initContainers"] = list(_joined(sidecars, tuple(spec.get("initContainers") or ())))
    if defaults.env:
        spec["containers"] = [_with_env(each, defaults.env) for each in spec["containers"]]
    metadata = _filled(pod["metadata"], defaults.labels, defaults.annotations)
    return {**pod, "metadata": metadata, "spec": spec}


def _with_env(container: Manifest, env: tuple[Manifest, ...]) -> Manifest:
    return {**container, "env": list(_joined(env, tuple(container.get("env") or ())))}


def _joined(below: tuple[Manifest, ...], above: tuple[Manifest, ...]) -> tuple[Manifest, ...]:
    """Join two lists; an entry gives way to one of the same name, or that is the same, in the second."""
    names = {entry["name"] for entry in above if "name" in entry}
    kept = [entry for entry in below if entry not in above and entry.get("name") not in names]
    return (*kept, *above)


def _filled(metadata: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    made = dict(metadata)
    for name, added in (("labels", labels), ("annotations", annotations)):
        if added:
            made[name] = {**added, **(metadata.get(name) or {})}
    return made
