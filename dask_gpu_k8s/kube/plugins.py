"""Credentials that a program or an identity provider hands out: ``exec`` and ``auth-provider``.

kubernetes_asyncio runs them. It is imported here alone and only when a kubeconfig names one, because
its generated models cost as much time and memory as aiohttp does.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dask_gpu_k8s.kube.credentials import Identity
from dask_gpu_k8s.kube.errors import NoConfig

EXPIRY_MARGIN_SECONDS = 30.0
"""A token this near to its end is replaced before it is used."""

RECHECK_SECONDS = 60.0
"""How long an identity without a known end is used before the plug-in is asked again."""


class Plugin:
    """Credentials from a plug-in, asked again before they expire and when the server refuses them.

    Parameters
    ----------
    source : str or mapping
        Kubeconfig files, joined as in ``$KUBECONFIG``, or a kubeconfig's content.
    context : str
        The context whose user has the plug-in.
    clock : callable, optional
        Seconds since 1970.
    """

    def __init__(
        self, source: str | Mapping[str, Any], context: str, clock: Callable[[], float] = time.time
    ) -> None:
        # A copy: kubernetes_asyncio writes refreshed tokens into what it is given.
        self._source = copy.deepcopy(source)
        self._context = context
        self._clock = clock
        self._identity: Identity | None = None
        self._valid_until = float("-inf")
        self._asking: asyncio.Future[None] | None = None

    async def identity(self) -> Identity:
        """Return what the plug-in gave, asking it if that is about to expire.

        Raises
        ------
        NoConfig
            If the plug-in fails.
        """
        while self._identity is None or self._clock() >= self._valid_until:
            await self._renew()
        return self._identity

    async def _renew(self) -> None:
        """Ask the plug-in, once for all the requests that wait for it."""
        if (
            self._asking is None
            or self._asking.done()
            or self._asking.get_loop() != asyncio.get_running_loop()
        ):
            self._asking = asyncio.ensure_future(self._ask())
            # Whoever waited may be gone by then.
            self._asking.add_done_callback(lambda asking: asking.cancelled() or asking.exception())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        configuration, expiry = await _ask(self._source, self._context)
        self._identity = _identity(configuration, self._context)
        self._valid_until = (
            self._clock() + RECHECK_SECONDS
            if expiry is None
            else max(expiry - EXPIRY_MARGIN_SECONDS, self._clock() + 1)
        )

    def expire(self, refused: Identity) -> bool:
        """Have the plug-in asked again, unless it was since."""
        if refused is self._identity:
            self._valid_until = float("-inf")
        return True


async def _ask(source: str | Mapping[str, Any], context: str) -> tuple[Any, float | None]:
    """Run the plug-in; return kubernetes_asyncio's Configuration and the time of expiry, if told."""
    if "kubernetes_asyncio.config" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio.config")
    from kubernetes_asyncio import client, config

    configuration = client.Configuration()
    try:
        if isinstance(source, str):
            loader = await config.load_kube_config(source, context, configuration)
        else:
            loader = await config.load_kube_config_from_dict(source, context, configuration)
    except Exception as error:
        # A plug-in is foreign code: it fails in any way (missing program, bad JSON, network).
        raise NoConfig(f"The credentials plug-in of context {context!r} failed: {error}") from error
    expiry: datetime | None = getattr(loader, "exec_plugin_expiry", None)
    return configuration, expiry.timestamp() if expiry is not None else None


def _identity(configuration: Any, context: str) -> Identity:
    authorization = configuration.api_key.get("BearerToken")
    certificate = None
    if configuration.cert_file and configuration.key_file:
        certificate = (Path(configuration.cert_file).read_bytes(), Path(configuration.key_file).read_bytes())
    if not authorization and certificate is None:
        # Older kubernetes_asyncio only logs that a plug-in failed.
        raise NoConfig(f"The credentials plug-in of context {context!r} failed: it gave no credentials.")
    return Identity({"Authorization": authorization} if authorization else {}, certificate)
