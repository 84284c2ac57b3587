"""The Grafana dashboard of the operator and of the clusters' schedulers, as data."""

from __future__ import annotations

from typing import Any

WIDTH, HEIGHT, COLUMNS = 8, 7, 3

OURS = "* on (pod) group_left () dask_operator_build_info"
"""Of numbers that every program has, those of the operator."""

PANELS: list[tuple[str, str, list[tuple[str, str]]]] = [
    # title, unit, queries with their legends
    ("Workers", "short", [("sum by (state) (dask_operator_workers)", "{{state}}")]),
    ("Resources", "short", [("sum by (resource) (dask_operator_resources)", "{{resource}}")]),
    ("Leaders", "short", [("dask_operator_leading", "{{pod}}")]),
    ("Scaling: Pods per second", "ops",
     [("sum by (action) (rate(dask_operator_scale_actions_total[$__rate_interval]))", "{{action}}")]),
    ("Runs per second", "ops",
     [("sum by (kind) (rate(dask_operator_reconciles_total[$__rate_interval]))", "{{kind}}")]),
    ("Failed runs per second", "ops",
     [("sum by (kind) (rate(dask_operator_reconcile_errors_total[$__rate_interval]))", "{{kind}}")]),
    ("Length of a run, 99 %", "s",
     [("histogram_quantile(0.99, sum by (le, kind) (rate(dask_operator_reconcile_seconds_bucket"
       "[$__rate_interval])))", "{{kind}}")]),
    ("Queue", "short", [("max(dask_operator_queue_depth)", "waiting")]),
    ("Queue: longest wait", "s", [("max(dask_operator_queue_age_seconds)", "longest wait")]),
    ("API calls per second", "ops",
     [("sum by (verb, resource) (rate(dask_operator_api_calls_total[$__rate_interval]))",
       "{{verb}} {{resource}}")]),
    ("API calls that were refused or failed, per second", "ops",
     [('sum by (code, verb, resource) (rate(dask_operator_api_calls_total{code!~"2.."}[$__rate_interval]))',
       "{{code}} {{verb}} {{resource}}")]),
    ("API calls: time to answer, 99 %", "s",
     [("histogram_quantile(0.99, sum by (le, verb) (rate(dask_operator_api_call_seconds_bucket"
       "[$__rate_interval])))", "{{verb}}")]),
    ("Age of watches", "s", [("max by (resource) (dask_operator_watch_age_seconds)", "{{resource}}")]),
    ("Outdated definitions", "short", [("max by (kind) (dask_operator_definition_outdated)", "{{kind}}")]),
    ("Memory and processor of the operator", "short",
     [(f"process_resident_memory_bytes {OURS} / 1048576", "MiB {{pod}}"),
      (f"100 * rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "% of a core {{pod}}")]),
    ("Dask: workers of each scheduler", "short",
     [("sum by (dask_org_cluster_name, state) (dask_scheduler_workers)",
       "{{dask_org_cluster_name}} {{state}}")]),
    ("Dask: tasks of each scheduler", "short",
     [('sum by (dask_org_cluster_name, state) (dask_scheduler_tasks{state!~"memory|released|forgotten"})',
       "{{dask_org_cluster_name}} {{state}}")]),
    ("Dask: clients", "short",
     [("sum by (dask_org_cluster_name) (dask_scheduler_clients)", "{{dask_org_cluster_name}}")]),
]  # fmt: skip


def make_dashboard() -> dict[str, Any]:
    """Make the dashboard."""
    return {
        "uid": "dask-operator",
        "title": "Dask operator",
        "tags": ["dask"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(index, *panel) for index, panel in enumerate(PANELS)],
    }


def _panel(index: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {
            "x": index % COLUMNS * WIDTH,
            "y": index // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries)
        ],
    }
