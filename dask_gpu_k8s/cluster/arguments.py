"""From what a user may write to what a manifest holds, with an error that names the place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.schema import did_you_mean
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.errors import InvalidArgument, InvalidType

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


def plain(value: Any) -> Any:
    """Copy data, of whatever mapping and sequence types, into dicts and lists that belong to nobody else."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value


def hint(word: str, candidates: Iterable[str]) -> str:
    """Write `` (did you mean …?)``, or nothing if no candidate is near."""
    near = did_you_mean(word, list(candidates))
    return f" (did you mean {near!r}?)" if near else ""


def parse_cluster_name(name: Any, where: str = "name") -> str:
    """Check the name of a cluster.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if not isinstance(name, str):
        raise InvalidType(f"must be a string, not {_kind(name)}", where=where)
    problem = names.cluster_name_problem(name)
    if problem:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: names.MAX_CLUSTER_NAME].rstrip("-")
        cure = "" if names.cluster_name_problem(near) else f"How about {near!r}?"
        raise InvalidArgument(f"{name!r} {problem}", where=where, cure=cure)
    return name


def parse_image(image: Any, where: str = "image") -> str:
    """Check an image reference: a non-empty string without blanks.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if not isinstance(image, str):
        raise InvalidType(
            f"must be a string such as 'ghcr.io/dask/dask:2026.8.0-py3.12', not {_kind(image)}", where=where
        )
    if not image or image.split() != [image]:
        raise InvalidArgument(f"{image!r} is no image reference", where=where)
    return image


def parse_count(value: Any, where: str, least: int = 0) -> int:
    """Check a whole number that may not be less than `least`.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidType(f"must be a whole number, not {_kind(value)}", where=where)
    if value < least:
        raise InvalidArgument(f"must be at least {least}, not {value}", where=where)
    return value


def parse_service_type(value: Any, where: str = "scheduler_service_type") -> str:
    """Check the type of the scheduler's Service.

    Raises
    ------
    InvalidArgument
    """
    if value not in SERVICE_TYPES:
        raise InvalidArgument(
            f"{value!r} is no type of Service{hint(str(value), SERVICE_TYPES)}",
            where=where,
            cure=f"Use one of {', '.join(SERVICE_TYPES)}.",
        )
    return str(value)


def parse_resources(resources: Any, where: str = "resources") -> Manifest:
    """Check a container's resources: ``limits`` and ``requests``, each a mapping from name to quantity.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if not isinstance(resources, Mapping):
        raise InvalidType(
            f"must be a mapping such as {{'limits': {{'nvidia.com/gpu': '1'}}}}, not {_kind(resources)}",
            where=where,
        )
    allowed = ("limits", "requests", "claims")
    for key in resources:
        if key not in allowed:
            raise InvalidArgument(
                f"{key!r} is no part of a container's resources{hint(str(key), allowed)}",
                where=where,
                cure="Use 'limits' and 'requests'.",
            )
    return {
        str(key): plain(value) if key == "claims" else _parse_quantities(value, f"{where}[{key!r}]")
        for key, value in resources.items()
    }


def _parse_quantities(quantities: Any, where: str) -> Manifest:
    if not isinstance(quantities, Mapping):
        raise InvalidType(f"must map resource names to quantities, not be {_kind(quantities)}", where=where)
    for name, quantity in quantities.items():
        try:
            if isinstance(quantity, bool) or not isinstance(quantity, (str, int, float)):
                raise ValueError(f"{quantity!r} is not a quantity")
            parse_quantity(quantity)
        except ValueError as error:
            raise InvalidArgument(
                f"{quantity!r} is not a quantity ({error})",
                where=f"{where}[{name!r}]",
                cure="Write a number with an optional unit, such as '1', '500m' or '4Gi'.",
            ) from None
    # A resource takes whole numbers and text.
    return {name: str(each) if isinstance(each, float) else each for name, each in quantities.items()}


def parse_env(env: Any, where: str = "env") -> list[Manifest]:
    """Turn a mapping into a list of variables; pass a list on as it is.

    Raises
    ------
    InvalidType
        If it is neither, or a value is neither text nor number.
    """
    if isinstance(env, Mapping):
        return [{"name": str(name), "value": _env_value(value, name, where)} for name, value in env.items()]
    if not isinstance(env, Sequence) or isinstance(env, str):
        raise InvalidType(f"must be a mapping or a list of variables, not {_kind(env)}", where=where)
    for index, variable in enumerate(env):
        if not isinstance(variable, Mapping) or not isinstance(variable.get("name"), str):
            raise InvalidType(
                f"must be a mapping such as {{'name': 'A', 'value': '1'}}, not {variable!r}",
                where=f"{where}[{index}]",
            )
    return [plain(variable) for variable in env]


def _env_value(value: Any, name: Any, where: str) -> str:
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InvalidType(
        f"must be text or a number, not {_kind(value)}",
        where=f"{where}[{name!r}]",
        cure="For valueFrom give env as a list of Kubernetes' own variable objects.",
    )


def parse_command(command: Any, where: str = "worker_command") -> list[str]:
    """Split a command as a shell would; pass a list of words on.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise InvalidArgument(f"{command!r} cannot be split ({error})", where=where) from None
    elif isinstance(command, Sequence) and all(isinstance(word, str) for word in command):
        words = list(command)
    else:
        raise InvalidType(f"must be a string or a list of strings, not {_kind(command)}", where=where)
    if not words:
        raise InvalidArgument("is empty", where=where, cure="Name the program, e.g. 'dask worker'.")
    return words


def _kind(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} ({value!r})"
