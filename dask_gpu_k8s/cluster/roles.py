"""What a user may ask of the Pods of one role, scheduler or workers, beside image, resources and command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.arguments import hint, plain
from dask_gpu_k8s.cluster.overlay import merge_overlay
from dask_gpu_k8s.errors import InvalidArgument, InvalidType


@dataclass(frozen=True)
class PodOptions:
    """Options of the Pods of one role, for ``scheduler_options=`` and ``worker_options=``.

    Attributes
    ----------
    labels, annotations : mapping of str to str
        Put on the role's Pods.
    node_selector : mapping of str to str
        Labels that a node must have.
    tolerations : sequence of mapping
        Taints that the Pods bear, as in a Pod's ``spec.tolerations``.
    affinity : mapping
        As a Pod's ``spec.affinity``.
    priority_class : str
        Name of a PriorityClass.
    service_account : str
        Name of a ServiceAccount.
    volumes : sequence of mapping
        As a Pod's ``spec.volumes``.
    volume_mounts : sequence of mapping
        Where the Dask container mounts them, as a container's ``volumeMounts``.
    image_pull_secrets : sequence of str or mapping
        Secrets for a private registry, by name.
    env_from : sequence of str or mapping
        Secrets whose keys become environment variables of the Dask container, by name; or objects as in
        a container's ``envFrom``.
    runtime_class : str
        Name of a RuntimeClass, e.g. ``"nvidia"``.
    overlay : mapping
        Any part of a Pod, ``{"metadata": …, "spec": …}``, merged last as ``kubectl patch`` would
        (containers and volumes by name; the Dask containers are called ``scheduler`` and ``worker``).

    Examples
    --------
    >>> PodOptions(node_selector={"gpu": "a100"}, env_from=["s3-credentials"]).priority_class
    ''
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    affinity: Mapping[str, Any] = field(default_factory=dict)
    priority_class: str = ""
    service_account: str = ""
    volumes: Sequence[Mapping[str, Any]] = ()
    volume_mounts: Sequence[Mapping[str, Any]] = ()
    image_pull_secrets: Sequence[str | Mapping[str, Any]] = ()
    env_from: Sequence[str | Mapping[str, Any]] = ()
    runtime_class: str = ""
    overlay: Mapping[str, Any] = field(default_factory=dict)

    __module__ = "dask_gpu_k8s"


_NAMES = tuple(option.name for option in fields(PodOptions))
_TEXTS = ("priority_class", "service_account", "runtime_class")
_TEXT_MAPS = ("labels", "annotations", "node_selector")
_MAPS = ("affinity", "overlay")
_LISTS = ("tolerations", "volumes", "volume_mounts")
_NAME_LISTS = ("image_pull_secrets", "env_from")


def parse_options(options: PodOptions | Mapping[str, Any] | None, where: str) -> PodOptions:
    """Read the options of a role, which may come as a plain mapping.

    Parameters
    ----------
    options : PodOptions, mapping or None
    where : str
        Name of the argument, for messages.

    Raises
    ------
    InvalidArgument
        For an option that does not exist.
    InvalidType
        For one of the wrong type.
    """
    if options is None:
        return PodOptions()
    if isinstance(options, PodOptions):
        given: dict[str, Any] = {name: getattr(options, name) for name in _NAMES}
    elif isinstance(options, Mapping):
        given = {str(name): value for name, value in options.items() if value is not None}
    else:
        raise InvalidType(f"must be PodOptions or a mapping, not {type(options).__name__}", where=where)
    for name, value in given.items():
        if name not in _NAMES:
            raise InvalidArgument(
                f"there is no option {name!r}{hint(name, _NAMES)}",
                where=where,
                cure=f"Options are {', '.join(_NAMES)}.",
            )
        _check_option(name, value, f"{where}[{name!r}]")
    return PodOptions(**given)


def _check_option(name: str, value: Any, where: str) -> None:
    if name in _TEXTS and not isinstance(value, str):
        raise InvalidType(f"must be a string, not {value!r}", where=where)
    if name in _TEXT_MAPS:
        _check_mapping(value, where)
        for key, text in value.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise InvalidType(f"must map strings to strings, not {key!r} to {text!r}", where=where)
    if name in _MAPS:
        _check_mapping(value, where)
    if name in _LISTS:
        _check_list(value, (Mapping,), where)
    if name in _NAME_LISTS:
        _check_list(value, (Mapping, str), where)


def _check_mapping(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise InvalidType(f"must be a mapping, not {value!r}", where=where)


def _check_list(value: Any, types: tuple[type, ...], where: str) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidType(f"must be a list, not {value!r}", where=where)
    for index, item in enumerate(value):
        if not isinstance(item, types):
            raise InvalidType(f"{item!r} cannot stand here", where=f"{where}[{index}]")


def apply_options(template: Manifest, options: PodOptions, where: str) -> Manifest:
    """Make a Pod template that has the options beside what it has already.

    Parameters
    ----------
    template : Manifest
        ``{"spec": {"containers": […]}}`` with one container, the Dask container.
    options : PodOptions
    where : str
        Name of the argument, for messages.

    Returns
    -------
    Manifest
        A new template. Who wins: what the template says, then the options beside it, then the overlay
        over both.
    """
    (container,) = template["spec"]["containers"]
    spec = {
        "containers": [{**container, **_container_fields(options)}],
        **_pod_fields(options),
    }
    metadata = _given(labels=options.labels, annotations=options.annotations)
    made = {**_given(metadata=metadata), "spec": spec}
    return merge_overlay(made, options.overlay, where) if options.overlay else made


def read_options(template: Manifest, container: Manifest, own: Collection[str]) -> Manifest:
    """Read the options of a role back from its Pod template: `apply_options` makes the same of them again.

    Parameters
    ----------
    template : Manifest
    container : Manifest
        The Dask container in it.
    own : collection of str
        Its fields that are no options, because other arguments say them.

    Returns
    -------
    Manifest
        With what the options have no word for in its ``overlay``.
    """
    metadata, spec = template.get("metadata") or {}, template["spec"]
    rest = {field: value for field, value in spec.items() if field not in (*_POD.values(), "containers")}
    more = {
        field: value
        for field, value in container.items()
        if field not in own and field not in _CONTAINER.values()
    }
    others = [each for each in spec["containers"] if each is not container]
    containers = [*([{"name": container["name"], **more}] if more else []), *others]
    changed = {**rest, "containers": containers} if containers else rest
    return _given(
        labels=metadata.get("labels"),
        annotations=metadata.get("annotations"),
        **{option: spec.get(field) for option, field in _POD.items()},
        **{option: container.get(field) for option, field in _CONTAINER.items()},
        overlay={"spec": changed} if changed else None,
    )


_POD = {
    "node_selector": "nodeSelector",
    "tolerations": "tolerations",
    "affinity": "affinity",
    "priority_class": "priorityClassName",
    "service_account": "serviceAccountName",
    "image_pull_secrets": "imagePullSecrets",
    "runtime_class": "runtimeClassName",
    "volumes": "volumes",
}
"""Where in a Pod's spec an option stands."""

_CONTAINER = {"env_from": "envFrom", "volume_mounts": "volumeMounts"}
"""Where in its Dask container."""


def _pod_fields(options: PodOptions) -> Manifest:
    secrets = [{"name": item} if isinstance(item, str) else item for item in options.image_pull_secrets]
    values = {**vars(options), "image_pull_secrets": secrets}
    return _given(**{field: values[option] for option, field in _POD.items()})


def _container_fields(options: PodOptions) -> Manifest:
    sources = [{"secretRef": {"name": item}} if isinstance(item, str) else item for item in options.env_from]
    values = {**vars(options), "env_from": sources}
    return _given(**{field: values[option] for option, field in _CONTAINER.items()})


def _given(**values: Any) -> Manifest:
    """Copy what was given; an empty value means that nothing was said."""
    return {name: plain(value) for name, value in values.items() if value}
