"""A cluster's certificate: one for scheduler, workers and clients, since in Dask each can run code on all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from dask_gpu_k8s.kube.pairs import Pair, sign_pair

CLOCKS_DIFFER = timedelta(hours=1)
"""By so much a certificate is valid before it is made: not all clocks of a cluster are right."""


def make_pair(name: str, hosts: Sequence[str], now: datetime, end: datetime) -> Pair:
    """Make an authority and a certificate.

    Parameters
    ----------
    name : str
        Of the cluster, at most 64 characters.
    hosts : sequence of str
        Names of the scheduler, for tools that check them; Dask does not.
    now, end : datetime
        Validity of both.
    """
    start = now.replace(microsecond=0) - CLOCKS_DIFFER
    return sign_pair(
        f"{name} authority"[:64],
        name,
        [x509.DNSName(host) for host in hosts],
        [x509.OID_SERVER_AUTH, x509.OID_CLIENT_AUTH],
        (start, end.replace(microsecond=0)),
    )
