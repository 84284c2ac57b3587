"""The HTTP session to one API server: TLS and time limits. Nothing in it uses a thread.

A process that is leaving has no thread pools any more, and may still have to delete its cluster. So
files are read at once, and aiohttp is kept from looking for a netrc file (it does so in a thread).
Only a host name, rather than an address, still needs one: asyncio looks names up in a thread.
"""

from __future__ import annotations

import socket
import ssl
import tempfile

import aiohttp

from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.errors import NoConfig
from dask_gpu_k8s.kube.sockets import Sockets

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 65.0
"""An API server gives up on a request after 60 s; one that is silent for longer is not there."""


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Make the TLS context for a server.

    Raises
    ------
    NoConfig
        If the certificate authority is not valid PEM.
    """
    try:
        context = ssl.create_default_context(cadata=connection.ca.decode("ascii") if connection.ca else None)
    except (ssl.SSLError, ValueError) as error:
        raise NoConfig(
            f"The certificate authority of {connection.server} is not valid PEM: {error}"
        ) from error
    # Python 3.13 refuses authorities without key identifiers; kubectl takes them, and clusters have them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def show_certificate(context: ssl.SSLContext, certificate: tuple[bytes, bytes]) -> None:
    """Have new connections show a client certificate.

    Parameters
    ----------
    context : ssl.SSLContext
        Changed in place.
    certificate : tuple of bytes
        PEM of the certificate and of its key. OpenSSL reads them from a file, so they lie for an
        instant in one that only we can read.

    Raises
    ------
    NoConfig
        If they are not valid or do not belong together.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(certificate))
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise NoConfig(f"The client certificate or its key is not valid: {error}") from error


def keep_alive(peer: socket.socket) -> None:
    """Have the system find out within about a minute that a quiet connection's other end is gone."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def open_session(context: ssl.SSLContext, sockets: Sockets) -> aiohttp.ClientSession:
    """Open a session in the running event loop; the sockets are to be closed after it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0, socket_factory=sockets.make),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    )
