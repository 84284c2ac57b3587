"""The last word on a Pod: a part of one, merged over what the arguments made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask_gpu_k8s.api.manifests import builtin_schemas
from dask_gpu_k8s.api.merge import strategic_merge
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.arguments import hint, plain
from dask_gpu_k8s.errors import InvalidArgument

PARTS = ("metadata", "spec")


def merge_overlay(template: Manifest, overlay: Mapping[str, Any], where: str) -> Manifest:
    """Merge a part of a Pod over a Pod template, strategically.

    Parameters
    ----------
    template : Manifest
        ``{"metadata": …, "spec": …}``; other keys, such as ``replicas``, are kept.
    overlay : mapping
        ``metadata``, ``spec`` or both, with the directives of a strategic merge patch if need be.
    where : str
        Name of the argument, for messages.

    Returns
    -------
    Manifest
        A new template.

    Raises
    ------
    InvalidArgument
        If the overlay is no part of a Pod, or its directives make no sense.
    """
    where = f"{where}['overlay']"
    for key in overlay:
        if key not in PARTS:
            raise InvalidArgument(
                f"{key!r} is no part of a Pod{hint(str(key), PARTS)}",
                where=where,
                cure="Give 'metadata', 'spec' or both.",
            )
    pod = {key: template[key] for key in PARTS if key in template}
    try:
        merged = strategic_merge(builtin_schemas()["Pod"], pod, plain(overlay))
    except ValueError as error:
        raise InvalidArgument(str(error), where=where) from error
    return {**template, **merged}
