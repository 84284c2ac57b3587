"""Plugins that were written for dask-kubernetes' operator."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points

logger = logging.getLogger(__name__)

GROUP = "dask_operator_plugin"
"""Entry points under which its plugins are found; what they register are handlers of kopf."""


def warn_of_plugins() -> None:
    """Say in the log which plugins are installed here and mean nothing here."""
    for point in entry_points(group=GROUP):
        if not point.value.startswith("dask_kubernetes."):
            logger.warning(
                "The plugin %s (entry point %s, %s) is not loaded: it is for dask-kubernetes' operator, "
                "whose plugins are handlers of kopf, and there is no kopf here.",
                point.name, GROUP, point.value,
            )  # fmt: skip
