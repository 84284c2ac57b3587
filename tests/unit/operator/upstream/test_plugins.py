"""Plugins of dask-kubernetes' operator that are installed beside ours."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from dask_gpu_k8s.operator.upstream import plugins


def test_reana_a_plugin_for_kopf_is_named_in_the_log(monkeypatch, caplog):
    """REANA's image brings one; nothing comes of it here, so its absence must not be a riddle."""
    found = [
        EntryPoint("noop", "dask_kubernetes.operator.controller.plugins.noop", plugins.GROUP),
        EntryPoint("reana", "reana_dask.plugin", plugins.GROUP),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: found if group == plugins.GROUP else [])
    plugins.warn_of_plugins()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "The plugin reana (entry point dask_operator_plugin, reana_dask.plugin) is not loaded" in (
        record.getMessage()
    )


def test_without_plugins_nothing_is_said(monkeypatch, caplog):
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [])
    plugins.warn_of_plugins()
    assert not caplog.records
