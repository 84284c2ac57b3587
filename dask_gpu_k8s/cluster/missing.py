"""Rights that are missing and can be done without: the log says so, once for each in a process."""

from __future__ import annotations

import logging

from dask_gpu_k8s.api.rights import what_is_lost
from dask_gpu_k8s.kube.errors import Forbidden

logger = logging.getLogger(__name__)

_told: set[str] = set()


def tell(refusal: Forbidden) -> None:
    """Say which right is missing and what is lost without it, unless that was said before.

    Parameters
    ----------
    refusal : Forbidden
        What the API server has answered.
    """
    # The object's name may differ each time; the verb, the resource and the namespace follow.
    right = refusal.message.partition(" cannot ")[2] or refusal.message
    if right not in _told:
        _told.add(right)
        logger.warning("%s. %s", refusal.message.rstrip("."), what_is_lost(refusal.message))
