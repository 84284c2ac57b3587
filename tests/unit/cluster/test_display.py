from __future__ import annotations

import sys
import types

import pytest

from dask_gpu_k8s.cluster.display import Progress, worker_count
from dask_gpu_k8s.cluster.standing import Standing

STANDINGS = [
    Standing("scheduler", 1, 0, 0, "Pulling", "its image is being pulled"),
    Standing("default", 3, 0, 2, "Unschedulable", "[red]fits[/red] on no node: " + "0/1 nodes " * 20),
]


def test_progress_is_silent_where_nobody_looks(capfd):
    with Progress("DaskCluster demo", quiet=False) as progress:
        progress.say("waiting")
    assert capfd.readouterr() == ("", "")


def test_quiet_shows_and_logs_nothing(capfd, monkeypatch, caplog):
    monkeypatch.setenv("FORCE_COLOR", "1")
    caplog.set_level("DEBUG")
    with Progress("DaskCluster demo", quiet=True) as progress:
        progress.say("waiting", STANDINGS)
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_the_log_has_a_line_for_each_change_and_no_more(caplog):
    caplog.set_level("INFO")
    with Progress("DaskCluster demo", quiet=False) as progress:
        for text in ("waiting", "waiting", "pulling", "pulling", "connecting"):
            progress.say(text)
    assert [record.message for record in caplog.records] == [
        "DaskCluster demo: waiting",
        "DaskCluster demo: pulling",
        "DaskCluster demo: connecting",
    ]


@pytest.mark.parametrize(("there", "wanted", "text"), [(2, 3, "2/3"), (3, 3, "3"), (1, None, "1")])
def test_worker_count(there, wanted, text):
    assert worker_count(there, wanted) == text


def test_progress_is_a_table_in_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with Progress("DaskCluster demo", quiet=False) as progress:
        progress.say("waiting for the scheduler", STANDINGS)
    shown = capfd.readouterr().err
    assert "DaskCluster demo: waiting for the scheduler" in shown
    for words in (
        ("wanted", "ready", "pending", "why"),
        ("default", "3", "0", "3 (2 unschedulable)", "[red]"),
    ):
        assert any(all(word in line for word in words) for line in shown.splitlines()), words
    assert "…" in shown
    assert "0/1 nodes " * 8 not in shown


def test_progress_is_a_table_in_a_notebook_that_goes_in_the_end(monkeypatch):
    """With what IPython has by itself; ipywidgets is not needed."""
    shown = []
    notebook = types.ModuleType("IPython.display")
    notebook.HTML = str
    notebook.display = lambda html, display_id: types.SimpleNamespace(update=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with Progress("DaskCluster demo", quiet=False) as progress:
        progress.say("waiting", STANDINGS)
    assert shown[-2].startswith("DaskCluster demo: waiting<table>")
    assert "3 (2 unschedulable)" in shown[-2]
    assert shown[-1] == ""
