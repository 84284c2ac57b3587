"""Rights that are missing and can be done without: the log says so, once for each in a process."""

from __future__ import annotations

import logging

from dask_gpu_k8s.api.rights import what_is_lost
from dask_gpu_k8s.kube.errors import Forbidden, KubeError

logger = logging.getLogger(__name__)

_told: set[str] = set()


def tell(error: KubeError) -> None:
    """If an error is a refusal, say which right is missing and what is lost without it, the first time.

    Parameters
    ----------
    error : KubeError
        What the API server has answered.
    """
    if not isinstance(error, Forbidden):
        return
    # The object's name may differ each time; the verb, the resource and the namespace follow.
    right = error.message.partition(" cannot ")[2] or error.message
    if right not in _told:
        _told.add(right)
        logger.warning("%s. %s", error.message.rstrip("."), what_is_lost(error.message))
