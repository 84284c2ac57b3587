"""When certificates are renewed, and who trusts whom before and after."""

from __future__ import annotations

import itertools
import ssl
import tempfile
from datetime import datetime, timedelta, timezone

import pytest

from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY
from dask_gpu_k8s.operator.schedulers.credentials import make_context
from dask_gpu_k8s.operator.security.renewal import (
    LIFE,
    NEXT_CERTIFICATE,
    NEXT_KEY,
    OVERLAP,
    expiry,
    flaw,
    issue,
    renewal,
)
from tests.unit.operator.builders import NOW

HOSTS = ["foo-scheduler"]


def issued(now=NOW, held=None):
    return issue("foo", HOSTS, held, now)


def renewed(times: int):
    """Return what is held after each of so many renewals, each when it is due."""
    held = [issued()]
    for _ in range(times):
        held.append(issued(renewal(held[-1]), held[-1]))
    return held


def meet(client, server) -> None:
    """Let two processes greet each other by TLS, in memory, as Dask's do: both show a certificate."""
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=server[CA].decode())
    accepting.verify_mode = ssl.CERT_REQUIRED
    _take_certificate(accepting, server)
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    ends = [
        make_context(client).wrap_bio(pipes[0], pipes[1]),
        accepting.wrap_bio(pipes[1], pipes[0], server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    ends[0].write(b"?")
    assert ends[1].read(1) == b"?"


def _take_certificate(context: ssl.SSLContext, held) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(held[KEY] + held[CERTIFICATE])
        file.flush()
        context.load_cert_chain(file.name)


def test_a_process_may_run_for_a_year_whenever_it_started():
    held = renewed(3)
    assert renewal(held[0]) == NOW + LIFE
    for each, following in itertools.pairwise(held):
        assert expiry(each) - renewal(each) == OVERLAP
        assert renewal(following) - renewal(each) == LIFE
    assert OVERLAP >= timedelta(days=365)


@pytest.fixture
def held_today():
    """What three processes hold, one renewal apart, with certificates that are valid today."""
    now = datetime.now(timezone.utc)
    held = [issued(now)]
    for _ in range(2):
        held.append(issued(now, held[-1]))
    return held


def test_row_39_old_and_new_trust_each_other_over_a_renewal(held_today):
    first, second, third = held_today
    for one, other in ((first, second), (second, third)):
        meet(one, other)
        meet(other, one)


def test_two_renewals_lock_out_whoever_has_only_the_first(held_today):
    first, _, third = held_today
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        meet(first, third)


def test_strangers_do_not_trust_each_other(held_today):
    with pytest.raises(ssl.SSLError):
        meet(issued(datetime.now(timezone.utc)), held_today[0])


def test_what_comes_next_is_what_was_made_before():
    first, second = renewed(1)
    assert (second[CERTIFICATE], second[KEY]) == (first[NEXT_CERTIFICATE], first[NEXT_KEY])
    assert second[CA].startswith(first[CA])
    assert second[CA].count(b"BEGIN") == 3


def test_trust_does_not_grow():
    assert [each[CA].count(b"BEGIN") for each in renewed(4)] == [2, 3, 3, 3, 3]


def test_an_operator_that_slept_too_long_makes_both_anew():
    first = issued()
    late = NOW + 3 * LIFE
    second = issued(late, first)
    assert second[CERTIFICATE] != first[NEXT_CERTIFICATE]
    assert renewal(second) == late + LIFE


def test_a_broken_secret_is_made_anew():
    first = issued()
    for broken in ({**first, NEXT_KEY: b""}, {**first, CA: b"no certificates"}, {}):
        second = issued(NOW, broken)
        assert flaw(second) is None
        assert renewal(second) == NOW + LIFE


FIRST = issued()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({NEXT_CERTIFICATE: b"", NEXT_KEY: b""}, None),
        ({CA: b""}, "its key ca.crt is missing"),
        ({KEY: b""}, "its key tls.key is missing"),
        ({CERTIFICATE: b"text"}, "does not hold certificates in PEM"),
        ({KEY: FIRST[NEXT_KEY]}, "tls.key and tls.crt do not belong together"),
    ],
)
def test_flaw(change, why):
    found = flaw({**FIRST, **change})
    assert found is None if why is None else why in found


def test_no_authority_has_a_key():
    assert set(FIRST) == {CA, CERTIFICATE, KEY, NEXT_CERTIFICATE, NEXT_KEY}
