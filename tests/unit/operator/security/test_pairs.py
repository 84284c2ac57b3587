"""Certificates: what they may be used for, and that they fit to each other and to nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dask_gpu_k8s.operator.security.pairs import CLOCKS_DIFFER, make_pair
from tests.unit.operator.builders import NOW

YEAR = timedelta(days=365)
PAIR = make_pair("foo", ["foo-scheduler", "foo-scheduler.ns.svc"], NOW, NOW + YEAR)
AUTHORITY, OWN = (x509.load_pem_x509_certificate(text) for text in (PAIR.authority, PAIR.certificate))


def allowed(certificate: x509.Certificate) -> set[str]:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    return {name for name in names if getattr(usage, name)}


def test_each_may_do_one_thing():
    assert allowed(AUTHORITY) == {"key_cert_sign"}
    assert allowed(OWN) == {"digital_signature"}
    extended = OWN.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [x509.OID_SERVER_AUTH, x509.OID_CLIENT_AUTH]


def test_only_the_authority_may_sign_and_only_what_signs_nothing():
    limits = [each.extensions.get_extension_for_class(x509.BasicConstraints) for each in (AUTHORITY, OWN)]
    assert [(limit.value.ca, limit.value.path_length) for limit in limits] == [(True, 0), (False, None)]
    assert all(limit.critical for limit in limits)


def test_the_authority_has_signed_the_certificate():
    OWN.verify_directly_issued_by(AUTHORITY)
    other = make_pair("foo", [], NOW, NOW + YEAR)
    with pytest.raises(InvalidSignature):
        OWN.verify_directly_issued_by(x509.load_pem_x509_certificate(other.authority))


def test_the_key_is_that_of_the_certificate():
    assert load_pem_private_key(PAIR.key, None).public_key() == OWN.public_key() != AUTHORITY.public_key()


def test_valid_from_a_little_earlier_to_the_end():
    for certificate in (AUTHORITY, OWN):
        assert certificate.not_valid_before_utc == NOW - CLOCKS_DIFFER
        assert certificate.not_valid_after_utc == NOW + YEAR


def test_it_says_whose_it_is_and_where_the_scheduler_is():
    names = OWN.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["foo-scheduler", "foo-scheduler.ns.svc"]
    assert OWN.subject.rfc4514_string() == "CN=foo"


def test_the_longest_name_fits():
    make_pair("x" * 53, [f"{'x' * 53}-scheduler.{'n' * 63}.svc"], NOW, NOW + YEAR)
