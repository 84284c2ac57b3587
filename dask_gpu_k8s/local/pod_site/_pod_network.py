"""The network of a Pod, for Python processes on a machine where Pods have no network namespaces.

Four things change, which a namespace would bring by itself:

- names are looked up in the cluster's hosts files first, with the Pod's search domains;
- listening on every address (``""``, ``0.0.0.0``, ``::``) means listening on the Pod's own;
- connecting to a Service goes straight to one of its ready endpoints, as through a node's packet filter;
- a program that asks for its own host name or address finds the Pod's.

Programs that do not use Python's ``socket`` module see the machine as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import weakref
from collections.abc import Mapping
from typing import Any

Address = Any
"""What sockets take and give: a tuple for IPv4 and IPv6, other things for other families."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Lines:
    """The words of each line of a file, read again whenever the file was replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = (0, 0)
        self._lines: list[list[str]] = []

    def read(self) -> list[list[str]]:
        """Return the lines as they are now; the last ones if the file is gone."""
        with contextlib.suppress(OSError):
            stat = os.stat(self._path)
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                with open(self._path, encoding="utf-8") as file:
                    self._lines = [line.split() for line in file]
                self._seen = seen
        return self._lines


class Names:
    """What hosts files (``address name ...`` per line) resolve to, with search domains."""

    def __init__(self, hosts: list[Lines], search: list[str]) -> None:
        self._hosts = hosts
        self._search = search

    def addresses(self, name: str) -> list[str]:
        """Return the IPv4 addresses of a name; none if the files do not know it.

        Raises
        ------
        socket.gaierror
            If they do not, and nobody else can: it is a name of the cluster's own domain.
        """
        plain = name.lower().rstrip(".")
        searched = [] if name.endswith(".") else [f"{plain}.{suffix}" for suffix in self._search]
        table: dict[str, list[str]] = {}
        for lines in self._hosts:
            for words in lines.read():
                for known in words[1:]:
                    table.setdefault(known, []).append(words[0])
        for wanted in [plain, *searched]:
            if wanted in table:
                return table[wanted]
        if plain.endswith((".svc", ".cluster.local")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return []

    def name(self, address: str) -> str | None:
        """Return the first name of an address."""
        found = (words for lines in self._hosts for words in lines.read() if words[:1] == [address])
        return next((words[1] for words in found), None)


class PodNetwork:
    """Replaces what Python's ``socket`` module does with names, wildcards and Services.

    Parameters
    ----------
    address : str
        The Pod's IPv4 address.
    hostname : str
    names : Names
    routes : Lines
        Per line a Service's address and port, then ``address:port`` of each ready endpoint.
    """

    def __init__(self, address: str, hostname: str, names: Names, routes: Lines) -> None:
        self.address = address
        self.hostname = hostname
        self.names = names
        self.routes = routes
        self._getaddrinfo = socket.getaddrinfo
        self._gethostbyname_ex = socket.gethostbyname_ex
        self._gethostbyaddr = socket.gethostbyaddr

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> PodNetwork:
        """Read what the node put into the Pod's environment."""
        hosts = [Lines(path) for path in variables["LOCAL_KUBERNETES_HOSTS"].split(os.pathsep)]
        return cls(
            variables["LOCAL_KUBERNETES_ADDRESS"],
            variables["HOSTNAME"],
            Names(hosts, variables["LOCAL_KUBERNETES_SEARCH"].split()),
            Lines(variables["LOCAL_KUBERNETES_ROUTES"]),
        )

    def install(self) -> None:
        """Put this network in the place of the machine's."""
        for function in (self.getaddrinfo, self.gethostbyname, self.gethostbyname_ex, self.gethostbyaddr):
            setattr(socket, function.__name__, function)
        socket.gethostname = lambda: self.hostname
        _install_methods(self)

    def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """Resolve a name; no host at all means the Pod's address."""
        host = _text(host)
        if host:
            found = self.names.addresses(host)
        else:
            found = [] if family == socket.AF_INET6 else [self.address]
        infos: list[Any] = []
        for each in found or [host]:
            infos += self._getaddrinfo(each, port, family, type, proto, flags)
        return infos

    def gethostbyname(self, host: Any) -> str:
        """Resolve a name to one address."""
        return self.gethostbyname_ex(host)[2][0]

    def gethostbyname_ex(self, host: Any) -> tuple[str, list[str], list[str]]:
        """Resolve a name to all its addresses."""
        found = self.names.addresses(_text(host))
        return (host, [], found) if found else self._gethostbyname_ex(host)

    def gethostbyaddr(self, host: Any) -> tuple[str, list[str], list[str]]:
        """Find the name of an address."""
        address = (self.names.addresses(_text(host)) or [host])[0]
        name = self.names.name(address)
        return (name, [], [address]) if name else self._gethostbyaddr(host)

    def to_bind(self, sock: socket.socket, where: Address) -> Address:
        """Turn a wildcard into the Pod's address."""
        if not _is_internet(sock, where):
            return where
        host, port, *rest = where
        if sock.family == socket.AF_INET:
            # A datagram socket without a port of its own is a client's, and may have to leave the machine.
            if host in ("", "0.0.0.0") and (port or sock.type != socket.SOCK_DGRAM):
                return (self.address, port)
        elif host in ("", "::"):
            # In this form an IPv6 socket listens on an IPv4 address, unless it refuses IPv4.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            return (f"::ffff:{self.address}", port, *rest)
        return self.resolved(sock, where)

    def to_connect(self, sock: socket.socket, where: Address) -> Address:
        """Turn a Service's address and port into those of one of its endpoints.

        Raises
        ------
        ConnectionRefusedError
            If none is ready.
        """
        if not _is_internet(sock, where):
            return where
        where = self.resolved(sock, where)
        host, port, *rest = where
        mapped, _, plain = host.rpartition(":")
        for words in self.routes.read():
            if words[:2] == [plain, str(port)] and sock.type == socket.SOCK_STREAM:
                if not words[2:]:
                    raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
                chosen, _, target = random.choice(words[2:]).rpartition(":")
                return (f"{mapped}:{chosen}" if mapped else chosen, int(target), *rest)
        return where

    def resolved(self, sock: socket.socket, where: Address) -> Address:
        """Turn a cluster name into its address."""
        host, *rest = where
        found = self.names.addresses(_text(host)) if host else []
        if not found:
            return where
        return ("::ffff:" + found[0] if sock.family == socket.AF_INET6 else found[0], *rest)


def _is_internet(sock: socket.socket, where: Address) -> bool:
    return sock.family in _INTERNET and isinstance(where, tuple) and len(where) >= 2


def _text(host: Any) -> Any:
    return host.decode("idna") if isinstance(host, (bytes, bytearray)) else host


def _install_methods(network: PodNetwork) -> None:
    """Replace the methods of sockets. Subclasses, such as those for TLS, call these."""
    plain_bind = socket.socket.bind
    plain_connect = socket.socket.connect
    plain_connect_ex = socket.socket.connect_ex
    plain_getsockname = socket.socket.getsockname
    bound: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def bind(self: socket.socket, where: Address, /) -> None:
        plain_bind(self, network.to_bind(self, where))
        bound.add(self)

    def connect(self: socket.socket, where: Address, /) -> None:
        try:
            plain_connect(self, network.to_connect(self, where))
        except OSError as error:
            # Off the network a datagram socket still has an answer to give, see getsockname.
            if error.errno != errno.ENETUNREACH or self.type != socket.SOCK_DGRAM:
                raise

    def connect_ex(self: socket.socket, where: Address, /) -> int:
        try:
            return plain_connect_ex(self, network.to_connect(self, where))
        except ConnectionRefusedError:
            return errno.ECONNREFUSED

    def getsockname(self: socket.socket, /) -> Address:
        where = plain_getsockname(self)
        if self.family == socket.AF_INET and self.type == socket.SOCK_DGRAM and self not in bound:
            # "From which address do I reach that one?" is how programs ask for their own.
            return (network.address, where[1])
        return where

    for method in (bind, connect, connect_ex, getsockname):
        setattr(socket.socket, method.__name__, method)
