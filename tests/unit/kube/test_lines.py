from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube.lines import Lines


@given(
    lines=st.lists(st.binary(min_size=1).filter(lambda b: b"\n" not in b and b.strip())),
    cuts=st.lists(st.integers(1, 9), min_size=1),
)
def test_any_cut_gives_the_same_lines(lines, cuts):
    data = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter, got, at, turn = Lines(), [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        got += splitter.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert got == lines
    assert splitter.rest() == b"rest"


def test_empty_lines_are_left_out():
    assert Lines().feed(b"\n\r\n a\n\n") == [b" a"]


def test_a_line_of_megabytes_in_small_pieces_takes_linear_time():
    splitter = Lines()
    piece = b"x" * 1000
    started = time.process_time()
    for _ in range(32_000):
        assert splitter.feed(piece) == []
    (line,) = splitter.feed(b"\n")
    assert len(line) == 32_000_000
    assert time.process_time() - started < 2
