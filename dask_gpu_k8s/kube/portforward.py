"""A local port whose connections end at a port of a Pod."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType

from dask_gpu_k8s.kube.carry import carry
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError

logger = logging.getLogger(__name__)

LOCALHOST = "127.0.0.1"


class PortForward:
    """Listens on 127.0.0.1 and carries each connection to a Pod, chosen anew every time.

    A connection that fails is reset, so that its end cannot be taken for a clean one, and logged;
    the others and the local port stay.

    Parameters
    ----------
    kube : KubeClient
        Has to stay open as long as this does.
    target : str or callable
        Name of the Pod; or a coroutine function that returns it, called for each connection.
    port : int
        Port of the Pod.
    namespace : str, optional
        Namespace of the Pod; by default the client's.
    local_port : int, optional
        Port to listen on; by default the system chooses a free one.

    Attributes
    ----------
    local_port : int
        Port it listens on, once started.
    """

    def __init__(
        self,
        kube: KubeClient,
        target: str | Callable[[], Awaitable[str]],
        port: int,
        *,
        namespace: str | None = None,
        local_port: int = 0,
    ) -> None:
        self.local_port = local_port
        self._kube = kube
        self._target = target
        self._port = port
        self._namespace = namespace or kube.namespace
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> PortForward:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            If the local port is taken.
        """
        self._server = await asyncio.start_server(self._accept, LOCALHOST, self.local_port)
        self.local_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end all connections; nothing is left of them afterwards."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod = ""
        try:
            pod = self._target if isinstance(self._target, str) else await self._target()
            await carry(self._kube, pod, self._namespace, self._port, reader, writer)
        except ConnectionError:
            # The local side went away, which is its right.
            _reset(writer)
        except Exception as error:
            # A KubeError; or whatever the caller's target function raised.
            _reset(writer)
            logger.warning(
                "A connection to port %d of Pod %s failed: %s",
                self._port,
                pod or "(none)",
                error,
                exc_info=not isinstance(error, KubeError),
            )
        except asyncio.CancelledError:
            _reset(writer)
            raise
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, so that the other end sees an error and not an end."""
    peer: socket.socket | None = writer.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
