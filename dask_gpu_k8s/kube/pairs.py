"""A certificate and the authority that has signed it. The authority's key is forgotten at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """PEM texts.

    Attributes
    ----------
    authority : bytes
        Certificate of the authority, whose key exists no more: it has signed one certificate, ever.
    certificate : bytes
    key : bytes
        The certificate's private key, not encrypted.
    """

    authority: bytes
    certificate: bytes
    key: bytes


def sign_pair(
    authority_name: str,
    name: str,
    alternatives: Iterable[x509.GeneralName],
    uses: Iterable[x509.ObjectIdentifier],
    validity: tuple[datetime, datetime],
) -> Pair:
    """Make an authority and a certificate.

    Parameters
    ----------
    authority_name, name : str
        Common names, at most 64 characters.
    alternatives : iterable of x509.GeneralName
        Names and addresses for which the certificate is good.
    uses : iterable of x509.ObjectIdentifier
        What it is good for, e.g. ``x509.OID_SERVER_AUTH``.
    validity : tuple of datetime
        Begin and end of both.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name(authority_name)
    authority = (
        _builder(issuer, issuer, authority_key, validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    own = (
        _builder(_name(name), issuer, key, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
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
