"""Looks whether the definitions in this Kubernetes are those that the operator was written for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from dask_gpu_k8s.api.definitions import PATH, lacks
from dask_gpu_k8s.api.resources import DASK_RESOURCES, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError, NotFound

logger = logging.getLogger(__name__)

COMMAND = "kubectl apply -f deploy/helm/dask-gpu-k8s-operator/crds"
"""Installs them and brings them up to date, in a checkout of the operator's version."""

CHECK_SECONDS = 15.0
"""Between two looks at definitions that are not as they should be."""

SHOWN = 4
"""Fields that a message names."""


class Definitions:
    """Looks at the definitions until they are as they should be.

    Parameters
    ----------
    kube : KubeClient

    Attributes
    ----------
    outdated : dict
        By kind, whether its definition was found missing or older than the operator.
    """

    def __init__(self, kube: KubeClient) -> None:
        self.outdated = {resource.kind: False for resource in DASK_RESOURCES}
        self._kube = kube
        self._told: list[str] = []

    async def watch(self) -> None:
        """Say what is wrong, once as long as it stays so, until nothing is."""
        while True:
            try:
                document = await self._kube.read(PATH)
            except NotFound:
                document = {}
            except KubeError as error:
                logger.debug("The definitions cannot be looked at: %s", error)
                document = None
            if document is not None and not self._tell(document):
                return
            await asyncio.sleep(CHECK_SECONDS)

    def _tell(self, document: Manifest) -> bool:
        """Say what is wrong; return whether anything is."""
        lacking = {resource: list(lacks(document, resource)) for resource in DASK_RESOURCES}
        self.outdated = {resource.kind: bool(fields) for resource, fields in lacking.items()}
        sentences = list(_sentences(lacking))
        if sentences != self._told:
            for sentence in sentences:
                logger.warning("%s", sentence)
            if not sentences:
                logger.info("The definitions are there and up to date.")
        self._told = sentences
        return bool(sentences)


def _sentences(lacking: dict[Resource, list[str]]) -> Iterator[str]:
    missing = [resource.full_name for resource, fields in lacking.items() if fields == [resource.kind]]
    if missing:
        yield (
            f"This Kubernetes does not know {', '.join(missing)}. The operator waits for them; "
            f"install them with: {COMMAND}"
        )
    for resource, fields in lacking.items():
        if fields and resource.full_name not in missing:
            shown = ", ".join(fields[:SHOWN])
            more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
            yield (
                f"The definition of {resource.full_name} is older than this operator: it lacks {shown}"
                f"{more}. Whatever is written there is dropped. Bring it up to date with: {COMMAND}"
            )
