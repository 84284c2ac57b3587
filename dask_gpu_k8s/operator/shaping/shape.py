"""An object as it is created: as planned, with the operator's defaults, after every plug-in."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.shaping.defaults import Defaults
from dask_gpu_k8s.operator.shaping.plugins import Plugin, called

KEPT = ("name", "namespace", "ownerReferences")
"""Metadata by which the operator knows its own objects again."""

KEPT_PREFIXES = (labels.PREFIX, labels.OWN)


class ShapingFailed(Exception):
    """A plug-in failed, or changed what it must not."""


class Shaper:
    """Changes objects before they are created.

    Parameters
    ----------
    defaults : Defaults, optional
    plugins : mapping, optional
        Plug-ins by name, in the order in which they are called.
    """

    def __init__(self, defaults: Defaults | None = None, plugins: Mapping[str, Plugin] | None = None) -> None:
        self._defaults = defaults
        self._plugins = dict(plugins or {})

    def shape(self, obj: Manifest, owner: Manifest) -> Manifest:
        """Return the object to create.

        Parameters
        ----------
        obj : Manifest
            As planned; not changed.
        owner : Manifest
            The resource that it belongs to; a plug-in gets a copy.

        Raises
        ------
        ShapingFailed
            The message names the plug-in and says why.
        """
        made = self._defaults.fill(obj) if self._defaults else obj
        for name, plugin in self._plugins.items():
            try:
                made = called(name, plugin, copy.deepcopy(made), copy.deepcopy(owner))
            except Exception as error:  # foreign code: it may fail in any way
                raise ShapingFailed(f"The plug-in {name!r} failed: {error}") from error
            changed = _changed(obj, made)
            if changed:
                raise ShapingFailed(f"The plug-in {name!r} changed {changed}, which the operator goes by.")
        return made


def _changed(before: Manifest, after: Manifest) -> str:
    """Name the first thing that is no longer as the operator needs it."""
    for field in ("apiVersion", "kind"):
        if after.get(field) != before[field]:
            return field
    metadata = after.get("metadata") or {}
    for field in KEPT:
        if metadata.get(field) != before["metadata"].get(field):
            return f"metadata.{field}"
    for field in ("labels", "annotations"):
        there = metadata.get(field) or {}
        for key, value in (before["metadata"].get(field) or {}).items():
            if key.startswith(KEPT_PREFIXES) and there.get(key) != value:
                return f"the {field.removesuffix('s')} {key}"
    return ""
