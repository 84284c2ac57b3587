"""What the chart says to Prometheus' operator and to Grafana: only where somebody asks for it.

The values are called as in dask-kubernetes' chart where they mean the same.
"""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import deploy, labels

EVERYWHERE = "and $.Values.rbac.cluster (not $.Values.namespaces)"
"""Whether the operator looks after all namespaces."""

LABELS = """\
    app.kubernetes.io/name: '{{ include "CHART.name" $ }}'
    app.kubernetes.io/instance: '{{ $.Release.Name }}'
    app.kubernetes.io/version: '{{ $.Chart.AppVersion }}'
"""
"""Of everything that the chart makes beside what the kustomization has."""

DASHBOARD = "dashboards/dask-operator.json"

_MONITOR: dict[str, Any] = {
    "enabled": False,
    "namespace": "",
    "namespaceSelector": {},
    "additionalLabels": {},
    "interval": "15s",
    "jobLabel": "",
}

VALUES: dict[str, Any] = {
    "operator": {"podMonitor": {
        **{name: _MONITOR[name] for name in ("enabled", "namespace", "additionalLabels", "interval")},
        "metricRelabelings": [],
    }},
    "scheduler": {"enabled": False, "serviceMonitor": {
        **_MONITOR, "targetLabels": [labels.CLUSTER_NAME], "metricRelabelings": [],
    }},
    "worker": {"enabled": False, "podMonitor": {
        **_MONITOR, "podTargetLabels": [labels.CLUSTER_NAME, labels.WORKERGROUP_NAME],
        "metricRelabelings": [],
    }},
    "dashboard": {"enabled": False, "labels": {"grafana_dashboard": "1"}, "annotations": {}},
}  # fmt: skip

_HEAD = (
    """\
{{- with VALUES }}
{{- if ENABLED }}
apiVersion: monitoring.coreos.com/v1
kind: KIND
metadata:
  name: {{ include "CHART.fullname" $ }}-NAME
  namespace: {{ .namespace | default $.Release.Namespace }}
  labels:
"""
    + LABELS
    + """\
    {{- with .additionalLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
"""
)

_TAIL = """\
      interval: {{ .interval }}
      {{- with .metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}
"""

_CLUSTERS = """\
  {{- with .jobLabel }}
  jobLabel: {{ . }}
  {{- end }}
  {{- with .TARGETS }}
  TARGETS:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  namespaceSelector:
    {{- if .namespaceSelector }}
    {{- toYaml .namespaceSelector | nindent 4 }}
    {{- else if EVERYWHERE }}
    any: true
    {{- else }}
    matchNames:
      {{- toYaml (default (list $.Release.Namespace) $.Values.namespaces) | nindent 6 }}
    {{- end }}
  selector:
    matchLabels:
      COMPONENT: PART
  ENDPOINTS:
    - port: http-dashboard
"""

_ONE_SERVICE = f"""\
      # A scheduler has two Services; once is enough.
      relabelings:
        - sourceLabels: [__meta_kubernetes_service_name]
          regex: .*{labels.SCHEDULER}
          action: keep
"""

_OPERATOR = """\
  namespaceSelector:
    matchNames: ['{{ $.Release.Namespace }}']
  selector:
    matchLabels:
      app.kubernetes.io/name: '{{ include "CHART.name" $ }}'
      app.kubernetes.io/instance: '{{ $.Release.Name }}'
  podMetricsEndpoints:
    - port: health
"""

_DASHBOARD = (
    """\
{{- with $.Values.metrics.dashboard }}
{{- if .enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "CHART.fullname" $ }}-dashboard
  namespace: {{ $.Release.Namespace }}
  labels:
"""
    + LABELS
    + """\
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  dask-operator.json: |-
    {{- $.Files.Get "DASHBOARD" | nindent 4 }}
{{- end }}
{{- end }}
"""
)


def monitor_templates() -> dict[str, str]:
    """Write the templates, by their path within the chart."""
    scheduler = _CLUSTERS + _ONE_SERVICE
    return {
        "templates/operator-podmonitor.yaml": _filled(
            _HEAD + _OPERATOR + _TAIL,
            VALUES="$.Values.metrics.operator.podMonitor", ENABLED=".enabled", KIND="PodMonitor",
            NAME="podmonitor",
        ),
        "templates/scheduler-servicemonitor.yaml": _filled(
            _HEAD + scheduler + _TAIL,
            VALUES="$.Values.metrics.scheduler.serviceMonitor",
            ENABLED="and .enabled $.Values.metrics.scheduler.enabled", KIND="ServiceMonitor",
            NAME="scheduler-servicemonitor", TARGETS="targetLabels", ENDPOINTS="endpoints",
            PART=labels.SCHEDULER,
        ),
        "templates/worker-podmonitor.yaml": _filled(
            _HEAD + _CLUSTERS + _TAIL,
            VALUES="$.Values.metrics.worker.podMonitor",
            ENABLED="and .enabled $.Values.metrics.worker.enabled", KIND="PodMonitor",
            NAME="worker-podmonitor", TARGETS="podTargetLabels", ENDPOINTS="podMetricsEndpoints",
            PART=labels.WORKER,
        ),
        "templates/dashboard.yaml": _filled(_DASHBOARD, DASHBOARD=DASHBOARD),
    }  # fmt: skip


def _filled(text: str, **words: str) -> str:
    known = {"CHART": deploy.CHART, "COMPONENT": labels.COMPONENT, "EVERYWHERE": EVERYWHERE}
    for word, meant in {**words, **known}.items():
        text = text.replace(word, meant)
    return text
