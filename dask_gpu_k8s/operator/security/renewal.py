"""When certificates are renewed, and what is trusted meanwhile.

Dask reads its files when a process starts, and never again. So whatever a process has read must do for as
long as it runs, beside processes that started later. Therefore the pair that comes next is made one renewal
ahead, and its authority is trusted from the start:

=========  ==============  =================
renewal    own pair        trusted
=========  ==============  =================
(first)    A               A, B
1          B               A, B, C
2          C               B, C, D
=========  ==============  =================

A process that started before a renewal and one that started after it trust each other. Its certificate
holds for at least `OVERLAP` from its start, and so does its trust in what others have then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY
from dask_gpu_k8s.kube.pairs import Pair
from dask_gpu_k8s.operator.security.pairs import make_pair

LIFE = timedelta(days=365)
"""How long a certificate is given to new processes."""

OVERLAP = timedelta(days=365)
"""How long it is still good for after that: the shortest time for which a process may run."""

NEXT_CERTIFICATE, NEXT_KEY = "next.crt", "next.key"
"""Keys of the Secret with the pair for the next renewal; no Pod mounts them."""

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)

Data = Mapping[str, bytes]


def issue(name: str, hosts: Sequence[str], held: Data | None, now: datetime) -> dict[str, bytes]:
    """Make what a Secret is to hold from now on.

    Parameters
    ----------
    name, hosts
        As for `make_pair`.
    held : mapping, optional
        What it holds; it is renewed. ``None`` if there is none.
    now : datetime
    """
    trusted = _BLOCK.findall(held.get(CA, b"")) if held else []
    coming = make_pair(name, hosts, now, now + 2 * LIFE + OVERLAP)
    if held and len(trusted) > 1 and _is_ready_for_use(held, now):
        own = Pair(trusted[-1], held[NEXT_CERTIFICATE], held[NEXT_KEY])
    else:
        own = make_pair(name, hosts, now, now + LIFE + OVERLAP)
    before = trusted[-2:-1] if len(trusted) > 1 else trusted
    return {
        CERTIFICATE: own.certificate,
        KEY: own.key,
        CA: b"".join([*before, own.authority, coming.authority]),
        NEXT_CERTIFICATE: coming.certificate,
        NEXT_KEY: coming.key,
    }


def expiry(held: Data) -> datetime:
    """Return when the certificate in use expires."""
    return _end(held[CERTIFICATE])


def renewal(held: Data) -> datetime:
    """Return when the certificate in use is to be renewed."""
    return expiry(held) - OVERLAP


def flaw(held: Data) -> str | None:
    """Say why nobody can use what a Secret holds; ``None`` if they can."""
    for key in (CA, CERTIFICATE, KEY):
        if not held.get(key):
            return f"its key {key} is missing"
    try:
        x509.load_pem_x509_certificates(held[CA])
        certificate = x509.load_pem_x509_certificate(held[CERTIFICATE])
        private = load_pem_private_key(held[KEY], None)
    except (ValueError, TypeError) as error:
        return f"it does not hold certificates in PEM ({str(error).splitlines()[0][:100]})"
    if private.public_key() != certificate.public_key():
        return f"its keys {KEY} and {CERTIFICATE} do not belong together"
    return None


def _is_ready_for_use(held: Data, now: datetime) -> bool:
    coming = {**held, CERTIFICATE: held.get(NEXT_CERTIFICATE, b""), KEY: held.get(NEXT_KEY, b"")}
    return flaw(coming) is None and now < renewal(coming)


def _end(certificate: bytes) -> datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
