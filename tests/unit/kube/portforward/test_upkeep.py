"""What becomes of tunnels, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dask_gpu_k8s.kube.portforward.upkeep import (
    PING_SECONDS,
    PONG_SECONDS,
    PROOF_SECONDS,
    SLOW_SECONDS,
    forgotten,
    is_silent,
    ready,
    to_ask,
    to_dial,
)

NOW = 1000.0


@dataclass
class Tunnel:
    """A tunnel; times are seconds before now."""

    name: str
    born: float = NOW - 600
    heard: float = NOW - 1
    asked: float | None = None
    is_idle: bool = True
    is_free: bool = True


def silent(name: str, ago: float = PONG_SECONDS, **facts) -> Tunnel:
    return Tunnel(name, heard=NOW - ago - PING_SECONDS, asked=NOW - ago, **facts)


def busy(name: str, **facts) -> Tunnel:
    return Tunnel(name, is_idle=False, is_free=False, **facts)


def young(name: str, ago: float = PROOF_SECONDS) -> Tunnel:
    return Tunnel(name, born=NOW - ago, heard=NOW - ago + 0.1)


def names(tunnels) -> list[str]:
    return [each.name for each in tunnels]


def test_only_what_has_long_been_quiet_is_asked_and_once():
    quiet = Tunnel("quiet", heard=NOW - PING_SECONDS)
    asked = Tunnel("asked", heard=NOW - 60, asked=NOW - 57)
    assert names(to_ask([Tunnel("lively"), quiet, asked], NOW)) == ["quiet"]


@pytest.mark.parametrize(
    ("ago", "expected"), [(None, False), (PONG_SECONDS - 0.1, False), (PONG_SECONDS, True)]
)
def test_silence_is_an_answer_that_does_not_come(ago, expected):
    assert is_silent(Tunnel("", asked=None if ago is None else NOW - ago), NOW) is expected


def test_who_rested_longest_comes_first_and_who_is_silent_never():
    tunnels = [Tunnel("b", heard=NOW - 2), Tunnel("a", heard=NOW - 3), busy("c"), silent("d")]
    assert names(ready(tunnels, NOW)) == ["a", "b"]


def test_silence_ends_nothing_while_no_younger_one_works():
    """The API server may be slow or gone: TCP, and the client's futures, may outlive that."""
    for others in (
        [],
        [young("new", PROOF_SECONDS - 0.1)],
        [Tunnel("not heard", born=NOW - 4, heard=NOW - 4)],
    ):
        ago = PROOF_SECONDS + PONG_SECONDS
        assert forgotten([silent("spare", ago), silent("used", ago, is_idle=False), *others], NOW) == []


def test_what_the_network_has_forgotten_is_given_up_spare_and_used():
    ago = PROOF_SECONDS + PONG_SECONDS
    tunnels = [silent("spare", ago), silent("used", ago, is_idle=False, is_free=False), young("new")]
    assert names(forgotten(tunnels, NOW)) == ["spare", "used"]


def test_what_was_heard_of_just_before_the_network_forgot_is_given_up_too():
    ago = PROOF_SECONDS + PONG_SECONDS
    used = Tunnel("used", heard=NOW - ago + 0.1, asked=NOW - 1, is_idle=False, is_free=False)
    assert names(forgotten([silent("spare", ago), used, young("new")], NOW)) == ["spare", "used"]


def test_an_upload_that_the_pod_does_not_take_is_no_silence_of_the_network():
    ago = PROOF_SECONDS + PONG_SECONDS
    stuck = silent("stuck", 3600, is_idle=False, is_free=False)
    assert forgotten([stuck, Tunnel("spare"), young("new")], NOW) == []
    assert names(forgotten([stuck, silent("one", ago), Tunnel("another"), young("new")], NOW)) == ["one"]


def test_without_a_spare_one_silence_proves_nothing():
    assert forgotten([silent("used", 60, is_idle=False, is_free=False), young("new")], NOW) == []


@pytest.mark.parametrize(
    ("wanted", "stand_ready", "dialling", "in_trouble", "expected"),
    [
        (4, 0, 0, False, 4),
        (4, 3, 0, False, 1),
        (4, 3, 1, False, 0),
        (4, 8, 0, False, 0),
        (4, 0, 0, True, 1),
        (4, 0, 4, True, 0),
        (0, 0, 0, False, 0),
    ],
)
def test_how_many_are_dialled(wanted, stand_ready, dialling, in_trouble, expected):
    assert to_dial(wanted, stand_ready, [NOW] * dialling, in_trouble, NOW) == expected


@pytest.mark.parametrize("in_trouble", [False, True])
def test_beside_dials_that_are_slow_others_are_dialled_one_by_one(in_trouble):
    slow = NOW - SLOW_SECONDS
    assert to_dial(4, 0, [slow] * 4, in_trouble, NOW) == 1
    assert to_dial(4, 0, [slow] * 4 + [NOW], in_trouble, NOW) == 0
    assert to_dial(4, 4, [slow], in_trouble, NOW) == 0
