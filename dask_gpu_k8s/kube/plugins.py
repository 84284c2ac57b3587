"""Credentials that a program or an identity provider hands out: ``exec`` and ``auth-provider``.

kubernetes_asyncio runs them. It is imported here alone and only when a kubeconfig names one, because
its generated models cost as much time and memory as aiohttp does.

Programs go through its `ExecProvider` rather than through its loader of kubeconfigs, which leaves client
keys in temporary files, takes no token beside a certificate, does not read when a certificate expires, and
looks for a program with a relative path elsewhere than kubectl does.
"""

from __future__ import annotations

import asyncio
import copy
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from dask_gpu_k8s.kube.aside import imported
from dask_gpu_k8s.kube.credentials import Identity, bearer
from dask_gpu_k8s.kube.errors import NoConfig
from dask_gpu_k8s.kube.kubeconfig import Section

Answer: TypeAlias = tuple[Identity, float | None]
"""Who we are, and until when, in seconds since 1970; ``None`` if that is not said."""

EXPIRY_MARGIN_SECONDS = 30.0
"""A token this near to its end is replaced before it is used."""

RECHECK_SECONDS = 60.0
"""How long an identity without a known end is used before the plug-in is asked again."""


class Plugin:
    """Credentials from a plug-in, asked again before they expire and when the server refuses them.

    Parameters
    ----------
    ask : callable
        Coroutine function that asks it.
    context : str
        The context whose user has the plug-in, for messages.
    clock : callable, optional
        Seconds since 1970.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[Answer]], context: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._asks = ask
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
        await imported("kubernetes_asyncio.config")
        try:
            self._identity, expiry = await self._asks()
        except Exception as error:
            # A plug-in is foreign code: it fails in any way (missing program, bad JSON, network).
            raise NoConfig(f"The credentials plug-in of context {self._context!r} failed: {error}") from error
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


def exec_plugin(user: Section) -> Callable[[], Awaitable[Answer]]:
    """Make what runs the program that a user's ``exec`` names.

    Parameters
    ----------
    user : Section
        The user, as in the kubeconfig.
    """
    spec: dict[str, Any] = dict(user.values["exec"])
    command = str(spec.get("command") or "")
    if os.path.dirname(command):
        spec["command"] = str(user.folder / command)

    async def ask() -> Answer:
        from kubernetes_asyncio.config.dateutil import parse_rfc3339
        from kubernetes_asyncio.config.exec_provider import ExecProvider
        from kubernetes_asyncio.config.kube_config import ConfigNode

        try:
            given = await ExecProvider(ConfigNode("exec", spec)).run()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                " ".join(filter(None, [f"there is no program {command!r}.", spec.get("installHint")]))
            ) from error
        token, expiry = given.get("token"), given.get("expirationTimestamp")
        parts = given.get("clientCertificateData"), given.get("clientKeyData")
        pair = (parts[0].encode(), parts[1].encode()) if all(parts) else None
        if not token and pair is None:
            raise ValueError("it gave neither a token nor a certificate with its key.")
        identity = Identity(bearer(token) if token else {}, pair)
        return identity, parse_rfc3339(expiry).timestamp() if expiry else None

    return ask


def auth_provider(source: str | Mapping[str, Any], context: str) -> Callable[[], Awaitable[Answer]]:
    """Make what asks the identity provider that a user's ``auth-provider`` names.

    Parameters
    ----------
    source : str or mapping
        Kubeconfig files, joined as in ``$KUBECONFIG``, where a refreshed token is written to, as kubectl
        does; or a kubeconfig's content.
    context : str
        The context of the user.
    """
    # A copy: kubernetes_asyncio writes refreshed tokens into what it is given.
    source = copy.deepcopy(source)

    async def ask() -> Answer:
        from kubernetes_asyncio.client import Configuration
        from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

        files = KubeConfigMerger(source) if isinstance(source, str) else None
        loader = KubeConfigLoader(
            files.config if files else source,
            active_context=context,
            config_base_path=None,
            # Its own way to keep what was refreshed is called with an argument that it does not take.
            config_persister=lambda _: files.save_changes() if files else None,
        )
        configuration = Configuration()
        await loader.load_and_set(configuration)
        authorization = configuration.api_key.get("BearerToken")
        if not authorization:
            raise ValueError("it gave no token.")
        # It looks by itself whether the token is about to expire, whenever it is asked.
        return Identity({"Authorization": authorization}), None

    return ask
