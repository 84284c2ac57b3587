"""Who we are: what a request carries to say so, and how it stays valid.

Fixed tokens, passwords, certificates and token files are dealt with here; `plugins` does the rest.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dask_gpu_k8s.kube.errors import NoConfig

REREAD_SECONDS = 60.0
"""Age at which a token file is read again: whoever rotates it leaves the old token valid for longer."""


@dataclass(frozen=True)
class Identity:
    """What a request carries to say who asks.

    Attributes
    ----------
    headers : mapping of str to str
        Headers to send.
    certificate : tuple of bytes, optional
        Our certificate and its private key, both PEM.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: tuple[bytes, bytes] | None = None


class Credentials(Protocol):
    """Where an `Identity` comes from."""

    async def identity(self) -> Identity:
        """Return a valid identity, renewed if it is about to expire."""

    def expire(self, refused: Identity) -> bool:
        """Note that the server refused an identity (401). Of many requests at once only the first counts.

        Parameters
        ----------
        refused : Identity
            The one that the request carried.

        Returns
        -------
        bool
            Whether asking again may give another one.
        """


class Fixed:
    """Credentials that never change.

    Parameters
    ----------
    identity : Identity
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def identity(self) -> Identity:
        """Return the identity."""
        return self._identity

    def expire(self, refused: Identity) -> bool:
        """Say that there is no other identity."""
        return False


class TokenFile:
    """A bearer token in a file that somebody else rotates, as the kubelet does in every Pod.

    Parameters
    ----------
    path : Path
        The file.
    certificate : tuple of bytes, optional
        Shown beside the token.
    clock : callable, optional
        Monotonic time in seconds.
    """

    def __init__(
        self,
        path: Path,
        certificate: tuple[bytes, bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._certificate = certificate
        self._clock = clock
        self._read_at = float("-inf")
        self._identity = Identity()

    async def identity(self) -> Identity:
        """Return the token, read again if the last reading is a minute old."""
        if self._clock() - self._read_at >= REREAD_SECONDS:
            self._identity = Identity(bearer(_read_token(self._path)), self._certificate)
            self._read_at = self._clock()
        return self._identity

    def expire(self, refused: Identity) -> bool:
        """Have the file read again, unless it was since."""
        if refused is self._identity:
            self._read_at = float("-inf")
        return True


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NoConfig(f"The token file {path} cannot be read: {error.strerror}.") from error
    if not token:
        raise NoConfig(f"The token file {path} is empty.")
    return token


def bearer(token: str) -> dict[str, str]:
    """Write the header for a bearer token."""
    return {"Authorization": f"Bearer {token.strip()}"}


def basic(username: str, password: str) -> dict[str, str]:
    """Write the header for a user name and a password."""
    pair = f"{username}:{password}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
