"""A user's own manifest of a DaskCluster or of workers, checked before anything is created."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dask_gpu_k8s.api.manifests import validate_custom
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.arguments import parse_cluster_name, plain
from dask_gpu_k8s.cluster.settings import format_name
from dask_gpu_k8s.errors import InvalidArgument, InvalidType

WHERE = "custom_cluster_spec"


def load_custom_cluster(source: str | os.PathLike[str] | Mapping[str, Any]) -> Manifest:
    """Read a DaskCluster from a file or a mapping.

    Parameters
    ----------
    source : path or mapping
        The mapping is not changed.

    Returns
    -------
    dict
        With the placeholders of its name filled in.

    Raises
    ------
    InvalidType, InvalidArgument
        Naming each field that is wrong.
    """
    if isinstance(source, Mapping):
        manifest: Any = plain(source)
    elif isinstance(source, (str, os.PathLike)):
        manifest = _read(Path(source))
    else:
        raise InvalidType(f"must be a path or a mapping, not {type(source).__name__}", where=WHERE)
    if not isinstance(manifest, dict):
        raise InvalidType(f"must hold one object, not {type(manifest).__name__}", where=WHERE)
    kind = (manifest.get("apiVersion"), manifest.get("kind"))
    if kind != (DASKCLUSTER.api_version, DASKCLUSTER.kind):
        raise InvalidArgument(
            f"is {kind[1]!r} of {kind[0]!r}",
            where=WHERE,
            cure=f"Give a {DASKCLUSTER.kind} of {DASKCLUSTER.api_version!r}.",
        )
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or "name" not in metadata:
        raise InvalidArgument("is missing", where=f"{WHERE}: metadata.name")
    metadata["name"] = parse_cluster_name(format_name(metadata["name"]), f"{WHERE}: metadata.name")
    check(manifest, WHERE)
    return manifest


def check(manifest: Manifest, where: str) -> None:
    """Refuse a manifest with fields that do not exist or hold what they may not.

    Raises
    ------
    InvalidArgument
        With one line for each fault.
    """
    faults = validate_custom(manifest)
    if faults:
        raise InvalidArgument("\n  ".join(["the resource has faults", *faults]), where=where)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.expanduser().read_text("utf-8"))
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read ({error.strerror})", where=WHERE) from error
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{path} is not YAML: {error}", where=WHERE) from error
