"""The line to a scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import time
import warnings
from typing import Any

from distributed.comm.addressing import parse_host_port
from distributed.comm.core import FatalCommClosedError
from distributed.core import rpc
from distributed.security import Security
from distributed.versions import VersionMismatchWarning, get_versions

from dask_gpu_k8s.cluster.versions import check_versions
from dask_gpu_k8s.errors import StartFailed
from dask_gpu_k8s.kube.aside import aside
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.within import unhurried, within

ANSWER_SECONDS = 60.0
"""How long a scheduler that is Ready may take to answer its first call."""

KNOCK_SECONDS = 5.0
"""For how long a Service may refuse connections though its scheduler listens: its nodes' rules follow."""


async def open_comm(
    address: str,
    where: str,
    *,
    seconds: float = ANSWER_SECONDS,
    cure: str = "",
    security: Security | None = None,
    opens_late: bool = False,
) -> Any:
    """Open a line to a scheduler, and find out whether it speaks our language.

    Parameters
    ----------
    address : str
    where : str
        The cluster, for messages.
    seconds : float, optional
        How long to try.
    cure : str, optional
        What to do if nobody answers, for the message.
    security : distributed.Security, optional
        What to show to a scheduler that speaks TLS.
    opens_late : bool, optional
        Whether the way may open a moment after the scheduler does, as that through a Service.

    Returns
    -------
    distributed.core.rpc

    Warns
    -----
    distributed.versions.VersionMismatchWarning
        If Python, dask or distributed differ.

    Raises
    ------
    VersionMismatch
        If the two versions of Dask cannot talk.
    StartFailed
        If nobody answers, or somebody with a certificate that does not fit to ours.
    """
    deadline = time.monotonic() + seconds
    if opens_late and security is None:
        with contextlib.suppress(asyncio.TimeoutError):
            await within(min(seconds, KNOCK_SECONDS), _until_not_refused(address))
    comm = rpc(address, connection_args=security.get_connection_args("client") if security else None)
    try:
        versions = await _ask_versions(comm, where, deadline, cure)
        ours = await aside(get_versions)  # It loads NumPy and pandas to ask them.
        warning = check_versions(ours["packages"], versions["packages"], where)
        if warning:
            warnings.warn(warning, VersionMismatchWarning, stacklevel=2)
    except BaseException:
        await comm.close_rpc()
        raise
    return comm


async def _until_not_refused(address: str) -> None:
    """Knock at short intervals for as long as that is refused: Dask's own pauses grow to a second."""
    host, port = parse_host_port(address.rpartition("://")[2])
    # Each pause is about a tenth of the time that it has taken.
    backoff = Backoff(0.02, factor=1.1, maximum=2.0)
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(next(backoff))
        else:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return


async def _ask_versions(comm: Any, where: str, deadline: float, cure: str) -> Any:
    # Ready means that the dashboard answers; a Service or a forward may need a moment more.
    backoff = Backoff(maximum=2.0)
    while True:
        try:
            return await unhurried(comm.versions())
        except FatalCommClosedError as error:
            raise StartFailed(
                f"its scheduler's certificate and those in hand do not belong together ({error})",
                where=where,
                cure="A scheduler reads certificates when it starts: if they were replaced since then, "
                "delete its Pod.",
            ) from error
        except OSError as error:
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"the scheduler is Ready but does not answer at {comm.address} ({error})",
                    where=where,
                    cure=cure,
                ) from error
        await asyncio.sleep(next(backoff))
