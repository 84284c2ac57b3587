from __future__ import annotations

import pytest

from dask_gpu_k8s.cluster.display import Progress, worker_count


def test_progress_is_silent_where_nobody_looks(capfd):
    with Progress("DaskCluster demo", quiet=False) as progress:
        progress.say("waiting")
    with Progress("DaskCluster demo", quiet=True) as progress:
        progress.say("waiting")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("there", "wanted", "text"), [(2, 3, "2/3"), (3, 3, "3"), (1, None, "1")])
def test_worker_count(there, wanted, text):
    assert worker_count(there, wanted) == text


def test_progress_is_one_line_in_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    with Progress("DaskCluster demo", quiet=False) as progress:
        progress.say("[red]not markup[/red]\n" + "long " * 20)
    shown = capfd.readouterr().err
    assert "[red]" in shown
    assert "…" in shown
    assert "long long long" not in shown
