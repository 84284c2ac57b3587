"""Plug-ins: functions of other packages that get each object before it is created."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TypeAlias

from dask_gpu_k8s.api.types import Manifest

logger = logging.getLogger(__name__)

GROUP = "dask_gpu_k8s.operator_plugins"
"""Entry points that name plug-ins."""

Plugin: TypeAlias = Callable[[str, Manifest, Manifest], Manifest]
"""``(kind, obj, owner)`` to the object to create. A pure function: the same again for the same again."""


def installed_plugins() -> dict[str, Plugin]:
    """Load the plug-ins of all installed packages, by name.

    One that cannot be loaded is in it all the same, and fails whenever it is called: what it was to add
    must not be missing without a word.
    """
    plugins = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            plugins[point.name] = point.load()
            logger.info("Plug-in %s: %s", point.name, point.value)
        except Exception as error:  # foreign code: it may fail in any way
            logger.exception("The plug-in %s cannot be loaded.", point.name)
            plugins[point.name] = _broken(f"cannot be loaded: {error}")
    return plugins


def _broken(why: str) -> Plugin:
    def fail(kind: str, obj: Manifest, owner: Manifest) -> Manifest:
        raise RuntimeError(why)

    return fail


def called(name: str, plugin: Plugin, obj: Manifest, owner: Mapping[str, object]) -> Manifest:
    """Call a plug-in; complain in one line, whatever it does."""
    made: object = plugin(obj["kind"], obj, dict(owner))
    if not isinstance(made, dict):
        raise TypeError(f"returned {type(made).__name__}, not the object")
    return made
