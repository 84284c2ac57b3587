"""A certificate and the authority that has signed it. The authority's key is forgotten at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLOCKS_DIFFER = timedelta(hours=1)
"""By so much a certificate is valid before it is made: not all clocks of a cluster are right."""

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """PEM texts.

    Attributes
    ----------
    authority : bytes
        Certificate of the authority, whose key exists no more: it has signed one certificate, ever.
    certificate : bytes
        Of scheduler, workers and clients alike: in Dask each of them can run code on all others.
    key : bytes
        Its private key, not encrypted.
    """

    authority: bytes
    certificate: bytes
    key: bytes


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
    validity = start, end.replace(microsecond=0)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, own_name = _name(f"{name} authority"[:64]), _name(name)
    authority = (
        _builder(authority_name, authority_name, authority_key, validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    own = (
        _builder(own_name, authority_name, key, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH, x509.OID_CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(authority.public_bytes(_PEM), own.public_bytes(_PEM), private)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
