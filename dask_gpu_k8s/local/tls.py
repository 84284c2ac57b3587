"""Certificates of an API server: a certificate authority of its own and a server certificate signed by it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from dask_gpu_k8s.kube.pairs import sign_pair

_VALID = timedelta(days=3650)


@dataclass(frozen=True)
class Certificates:
    """PEM texts.

    Attributes
    ----------
    authority : bytes
        Certificate of the authority: what clients trust.
    chain : bytes
        The server's certificate.
    key : bytes
        The server's private key, not encrypted.
    """

    authority: bytes
    chain: bytes
    key: bytes

    def server_context(self, directory: Path) -> ssl.SSLContext:
        """Make the server's TLS context; the key passes through a file that only its owner can read."""
        path = directory / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(self.key + self.chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        path.unlink()
        return context


def make_certificates(names: list[str], addresses: list[str], now: datetime | None = None) -> Certificates:
    """Make an authority and a server certificate for some host names and addresses.

    Parameters
    ----------
    names, addresses : list of str
        What clients may call the server.
    now : datetime, optional
        Begin of the validity of ten years; default is an hour ago, for clocks that differ.
    """
    start = now or datetime.now(timezone.utc) - timedelta(hours=1)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ip_address(address)) for address in addresses]
    uses, validity = [x509.OID_SERVER_AUTH], (start, start + _VALID)
    made = sign_pair("local-kubernetes-ca", "local-kubernetes", alternatives, uses, validity)
    return Certificates(made.authority, made.certificate, made.key)
