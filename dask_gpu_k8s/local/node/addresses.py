"""Addresses in 127.0.0.0/8, which all belong to every Linux machine: a network for Services, one for Pods.

Several local Kubernetes on one machine take different networks.
"""

from __future__ import annotations

import socket

_FIRST = 96
_LAST = 250
_PODS = 65_000


class Networks:
    """Two networks that no other local Kubernetes on this machine uses.

    Attributes
    ----------
    services : str
        In the form ``"127.96.0.0/16"``.
    """

    def __init__(self) -> None:
        self._lock, number = _claim()
        self.services = f"127.{number}.0.0/16"
        self._pods = f"127.{number + 1}"
        self._taken: set[str] = set()
        self._next = 1

    def take(self) -> str:
        """Return an address for a Pod; one that was given back is not used again for long.

        Raises
        ------
        RuntimeError
            If there is none left.
        """
        for _ in range(_PODS):
            self._next = self._next % _PODS + 1
            address = f"{self._pods}.{self._next >> 8}.{self._next & 255}"
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError("all addresses for Pods are taken")

    def give_back(self, address: str) -> None:
        """Take back a Pod's address."""
        self._taken.discard(address)

    def close(self) -> None:
        """Let others use these networks."""
        self._lock.close()


def _claim() -> tuple[socket.socket, int]:
    """Find a free pair of networks; the lock is a name that the kernel frees with its holder."""
    for number in range(_FIRST, _LAST, 2):
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0local-kubernetes-127.{number}")
        except OSError:
            lock.close()
            continue
        return lock, number
    raise RuntimeError("too many local Kubernetes run on this machine: stop some of them")
