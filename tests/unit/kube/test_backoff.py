from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube.backoff import Backoff


def test_delays_double_up_to_the_maximum():
    backoff = Backoff(0.5, maximum=3, jitter=0)
    assert list(islice(backoff, 5)) == [0.5, 1, 2, 3, 3]
    backoff.reset()
    assert next(backoff) == 0.5


def test_jitter_only_shortens():
    assert next(Backoff(1, jitter=0.5, rng=lambda: 0.0)) == 1
    assert next(Backoff(1, jitter=0.5, rng=lambda: 0.5)) == 0.75


@given(
    initial=st.floats(0.001, 100),
    factor=st.floats(1, 10),
    maximum=st.floats(0.001, 100),
    jitter=st.floats(0, 0.9),
)
def test_delays_stay_in_their_bounds(initial, factor, maximum, jitter):
    for delay in islice(Backoff(initial, factor=factor, maximum=maximum, jitter=jitter), 20):
        assert 0 < delay <= maximum
