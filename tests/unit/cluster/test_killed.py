from __future__ import annotations

import builtins
import pickle
import sys

import pytest
from distributed.scheduler import KilledWorker

from dask_gpu_k8s.api.ends import End
from dask_gpu_k8s.cluster.killed import add_note, killed_workers, make_note

KILLED = KilledWorker("task", None, 3)


def caught(raise_it):
    with pytest.raises(Exception) as error:  # noqa: PT011
        raise_it()
    return error.value


def test_it_is_found_wherever_it_is():
    def caused() -> None:
        raise ValueError("mine") from KILLED

    def meanwhile() -> None:
        try:
            raise KILLED
        except KilledWorker:
            raise ValueError("mine")  # noqa: B904

    assert list(killed_workers(KILLED)) == [KILLED]
    assert list(killed_workers(caught(caused))) == [KILLED]
    assert list(killed_workers(caught(meanwhile))) == [KILLED]
    assert list(killed_workers(ValueError("mine"))) == []
    assert list(killed_workers(None)) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no groups of exceptions")
def test_it_is_found_in_a_group():
    group = builtins.ExceptionGroup("both", [ValueError(), KILLED])
    assert list(killed_workers(group)) == [KILLED]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no notes")
def test_a_note_stays_with_it():
    error = pickle.loads(pickle.dumps(KILLED))
    add_note(error, "why")
    assert error.__notes__ == ["why"]


def test_the_note_names_the_last_worker_first_and_few_others():
    ends = [End(f"w{i}", "n1", "OOMKilled", "needed more", 137) for i in range(9)]
    lines = make_note(ends[5], ends).splitlines()
    assert [line.split(" on ")[0].strip() for line in lines[1:]] == ["Pod w5", "Pod w0", "Pod w1", "Pod w2"]
    assert lines[1].strip() == "Pod w5 on node n1: OOMKilled: needed more"
    assert make_note(None, []) == ""
