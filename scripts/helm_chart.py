"""The Helm chart's files, written from the same manifests as everything else in deploy/.

A manifest becomes a template in two steps: names are given as Helm expressions when it is made, and fields
that users may set are replaced by marks, which become Helm blocks once it is written as YAML.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import yaml
from grafana_dashboard import make_dashboard
from helm_monitors import DASHBOARD, EVERYWHERE, LABELS, VALUES, monitor_templates
from make_crds import PlainDumper

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.crd import make_crds
from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from dask_gpu_k8s.api.types import Manifest

WRITTEN = "Written by scripts/make_deploy.py: change dask_gpu_k8s/api/deploy.py, not this file."
HEAD = f"# {WRITTEN}\n"
HIDDEN_HEAD = f"{{{{- /* {WRITTEN} */}}}}\n"
POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)

BLOCKS: dict[str, tuple[str | int, ...]] = {
    # value: the field of the Deployment that it is
    "podAnnotations": ("spec", "template", "metadata", "annotations"),
    "imagePullSecrets": (*POD, "imagePullSecrets"),
    "podSecurityContext": (*POD, "securityContext"),
    "priorityClassName": (*POD, "priorityClassName"),
    "nodeSelector": (*POD, "nodeSelector"),
    "tolerations": (*POD, "tolerations"),
    "affinity": (*POD, "affinity"),
    "volumes": (*POD, "volumes"),
    "securityContext": (*CONTAINER, "securityContext"),
    "resources": (*CONTAINER, "resources"),
    "livenessProbe": (*CONTAINER, "livenessProbe"),
    "readinessProbe": (*CONTAINER, "readinessProbe"),
    "volumeMounts": (*CONTAINER, "volumeMounts"),
}

EMPTY: dict[str, Any] = {
    "podAnnotations": {},
    "imagePullSecrets": [],
    "priorityClassName": "",
    "nodeSelector": {},
    "tolerations": [],
    "affinity": {},
    "volumes": [],
    "volumeMounts": [],
}
"""Of those that the Deployment does without."""

NAMESPACE_ARGUMENTS = """\
{{- range $.Values.namespaces }}
- --namespace={{ . }}
{{- else }}
{{- if not $.Values.rbac.cluster }}
- --namespace=$(POD_NAMESPACE)
{{- end }}
{{- end }}"""


DEFAULTS = (
    """\
{{- with $.Values.defaults }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "CHART.fullname" $ }}-defaults
  namespace: {{ $.Release.Namespace }}
  labels:
"""
    + LABELS
    + """\
data:
  defaults.yaml: |
    {{- toYaml . | nindent 4 }}
{{- end }}
"""
)

DEFAULTS_ARGUMENT = """\
{{- if $.Values.defaults }}
- --defaults=/etc/dask-operator/defaults.yaml
{{- end }}"""

BESIDE = {
    # value: what the defaults add to the field
    "podAnnotations": "checksum/defaults: {{ toYaml $.Values.defaults | sha256sum }}",
    "volumes": '- name: defaults\n  configMap:\n    name: {{ include "CHART.fullname" $ }}-defaults',
    "volumeMounts": "- name: defaults\n  mountPath: /etc/dask-operator\n  readOnly: true",
}

EXTRA = """\
{{- with $.Values.VALUE }}
{{- toYaml . | nindent INDENT }}
{{- end }}"""

HELPERS = """\
{{- define "CHART.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- /* The release's name where that says what it is, else both. */}}
{{- define "CHART.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $both .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "CHART.account" -}}
{{- $own := ternary (include "CHART.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end }}
"""

CHECKS = """\
{{- if $.Values.kopfArgs }}
{{- fail "kopfArgs: this operator has no such arguments. Set namespaces to those that it shall look after." }}
{{- end }}
"""

NOTES = """\
The Dask operator looks after
{{- if .Values.namespaces }} {{ join ", " .Values.namespaces }}.
{{- else if .Values.rbac.cluster }} all namespaces.
{{- else }} the namespace {{ .Release.Namespace }}.
{{- end }}

    kubectl -n {{ .Release.Namespace }} rollout status deployment {{ include "CHART.fullname" . }}

Helm leaves custom resource definitions as they are when it upgrades. Bring them up to date first:
kubectl apply -f the folder crds/ of the new chart.
"""


def chart_files(version: str) -> dict[str, str]:
    """Write every file of the chart, by its path within it."""
    files = {f"crds/{crd['spec']['names']['plural']}.yaml": _dump(crd) for crd in make_crds()}
    files["Chart.yaml"] = _chart(version)
    files["values.yaml"] = _values()
    files["values.schema.json"] = json.dumps(_schema(), indent=2) + "\n"
    files["templates/_helpers.tpl"] = HELPERS.replace("CHART", deploy.CHART)
    files["templates/NOTES.txt"] = NOTES.replace("CHART", deploy.CHART)
    files["templates/serviceaccount.yaml"] = HIDDEN_HEAD + _account()
    files["templates/rights.yaml"] = HIDDEN_HEAD + _rights()
    files["templates/user-roles.yaml"] = HIDDEN_HEAD + _user_roles()
    files["templates/deployment.yaml"] = HIDDEN_HEAD + CHECKS + _deployment()
    files["templates/defaults.yaml"] = HIDDEN_HEAD + DEFAULTS.replace("CHART", deploy.CHART)
    files |= {path: HIDDEN_HEAD + text for path, text in monitor_templates().items()}
    files[DASHBOARD] = json.dumps(make_dashboard(), indent=2) + "\n"
    return files


def _installation() -> deploy.Installation:
    def included(what: str) -> str:
        return f'{{{{ include "{deploy.CHART}.{what}" $ }}}}'

    return deploy.Installation(
        image="{{ $.Values.image.name }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}",
        version="{{ $.Chart.AppVersion }}",
        namespace="{{ $.Release.Namespace }}",
        name=included("fullname"),
        account=included("account"),
        instance="{{ $.Release.Name }}",
        label=included("name"),
    )


def _account() -> str:
    account = deploy.make_account(_installation())
    account["metadata"]["annotations"] = _mark("serviceAccount.annotations")
    return _when("$.Values.serviceAccount.create", _template(account))


def _rights() -> str:
    it = _installation()
    everywhere = _template(*deploy.make_cluster_rights(it))
    somewhere = "---\n" + _template(*deploy.make_namespace_rights(it, "{{ . }}"))
    where = "(default (list $.Release.Namespace) $.Values.namespaces)"
    either = (
        f"{{{{- if {EVERYWHERE} }}}}\n{everywhere}{{{{- else }}}}\n"
        f"{{{{- range {where} }}}}\n{somewhere}{{{{- end }}}}\n{{{{- end }}}}\n"
        f"---\n{_template(*deploy.make_lease_rights(it))}"
    )
    return _when("$.Values.rbac.create", either)


def _user_roles() -> str:
    wanted = f"and $.Values.rbac.create $.Values.rbac.userRoles ({EVERYWHERE})"
    return _when(wanted, _template(*deploy.make_user_roles(_installation())))


def _deployment() -> str:
    made = copy.deepcopy(deploy.make_deployment(_installation()))
    for value, (*path, last) in BLOCKS.items():
        _at(made, path)[last] = _mark(value)
    container = _at(made, CONTAINER)
    container["imagePullPolicy"] = "{{ $.Values.image.pullPolicy }}"
    made["spec"]["replicas"] = "VALUE replicas"
    container["args"] = [
        re.sub("INFO$", "{{ $.Values.logLevel }}", re.sub("plain$", "{{ $.Values.logFormat }}", one))
        for one in container["args"]
    ]
    container["args"] += ["ITEMS defaults", "ITEMS namespaces", "ITEMS extraArgs"]
    container["env"].append("ITEMS extraEnv")
    return _template(made)


def _defaults() -> Manifest:
    """Read the values that are fields of the Deployment off the Deployment itself."""
    made = deploy.make_deployment(deploy.Installation("", ""))
    return {name: EMPTY[name] if name in EMPTY else _at(made, path) for name, path in BLOCKS.items()}


def _values() -> str:
    fields = _defaults()
    parts = [
        ("Of the operator. An empty tag means the version of the chart.",
         {"image": {"name": OPERATOR_IMAGE, "tag": "", "pullPolicy": "IfNotPresent"}}),
        ("Secrets with which it is pulled, e.g. [{name: registry}].", "imagePullSecrets"),
        ("Instead of the chart's name, and of all names.", {"nameOverride": "", "fullnameOverride": ""}),
        ("Namespaces that it looks after, with a Role in each. Empty means all, or the release's own where\n"
         "rbac.cluster is false.",
         {"namespaces": []}),
        ("How many there are. One works; another one takes over within 20 s if its node is lost, at once if\n"
         "it ends.", {"replicas": 1}),
        ("DEBUG, INFO, WARNING or ERROR; plain or json.", {"logLevel": "INFO", "logFormat": "plain"}),
        ("What all objects get unless their owner says otherwise: labels, annotations, pods, schedulers,\n"
         "workers, runners. See docs/extending.md.", {"defaults": {}}),
        ("For Prometheus' own operator and for Grafana. Schedulers and workers need prometheus_client.",
         {"metrics": VALUES}),
        ("The account that it runs as; without a name called as the release.",
         {"serviceAccount": {"create": True, "annotations": {}, "name": ""}}),
        ("cluster: a ClusterRole for all namespaces, unless namespaces names some; else a Role in its own.\n"
         "userRoles: ClusterRoles that add Dask resources to view and edit; only for all namespaces.",
         {"rbac": {"create": True, "cluster": True, "userRoles": True}}),
        ("", "podAnnotations"),
        ('As the Pod Security Standard "restricted" wants it.', "podSecurityContext", "securityContext"),
        ("", "resources"),
        ("", "livenessProbe", "readinessProbe"),
        ("Further arguments of the operator, e.g. [--adopt]; see docs/operating.md.", {"extraArgs": []}),
        ("Further environment variables, in the form of a container's env.", {"extraEnv": []}),
        ("", "volumes", "volumeMounts"),
        ("Where it may run.", "nodeSelector", "tolerations", "affinity", "priorityClassName"),
    ]  # fmt: skip
    texts = []
    for comment, *entries in parts:
        lines = "".join(f"# {line}\n" for line in str(comment).splitlines())
        blocks = (one if isinstance(one, dict) else {one: fields[one]} for one in entries)
        texts.append(lines + "".join(_dump(block) for block in blocks))
    return HEAD + "\n" + "\n".join(texts)


def _schema() -> Manifest:
    """Say which values there are, so that Helm refuses a misspelt one."""
    schema = _schema_of(yaml.safe_load(_values()))
    known = schema["properties"]
    known["image"]["properties"]["pullPolicy"] = {"enum": ["Always", "IfNotPresent", "Never"]}
    known["logLevel"] = {"enum": ["DEBUG", "INFO", "WARNING", "ERROR"]}
    known["logFormat"] = {"enum": ["plain", "json"]}
    dashboard = known["metrics"]["properties"]["dashboard"]["properties"]
    dashboard["labels"] = {"type": "object"}
    known["replicas"] = {"type": "integer", "minimum": 0}
    known["priorityClassName"] = {"type": ["string", "null"]}
    for name in {"podAnnotations", *BLOCKS} & known.keys():
        known[name].pop("properties", None)
        known[name].pop("additionalProperties", None)
    # What Helm itself hands to a chart within a chart; and what is refused with more words.
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema,
            "properties": {**known, "global": {"type": "object"}, "kopfArgs": {}}}  # fmt: skip


def _schema_of(value: Any) -> Manifest:
    if value == {}:
        return {"type": "object"}
    if isinstance(value, dict):
        inner = {name: _schema_of(each) for name, each in value.items()}
        return {"type": "object", "additionalProperties": False, "properties": inner}
    names = {bool: "boolean", str: "string", int: "integer", list: "array"}
    return {"type": names[type(value)]}


def _chart(version: str) -> str:
    return HEAD + _dump(
        {
            "apiVersion": "v2",
            "type": "application",
            "name": deploy.CHART,
            "description": "An operator for Dask clusters, above all on GPUs",
            "version": version,
            "appVersion": version,
            "keywords": ["dask", "gpu", "rapids", "operator"],
        }
    )


def _template(*manifests: Manifest) -> str:
    text = "---\n".join(_dump(manifest) for manifest in manifests)
    text = re.sub(r"^( *)(\w+): MARK (\S+)$", _block, text, flags=re.MULTILINE)
    text = re.sub(r"^( *\w+): VALUE (\S+)$", r"\1: {{ $.Values.\2 }}", text, flags=re.MULTILINE)
    return re.sub(r"^( *)- ITEMS (\w+)$", _items, text, flags=re.MULTILINE)


def _block(found: re.Match[str]) -> str:
    indent, key, value = found.groups()
    if value in BESIDE:
        return _block_beside(indent, key, value)
    inner = (
        f"{key}: {{{{ . }}}}"
        if EMPTY.get(value) == ""
        else f"{key}:\n{indent}  {{{{- toYaml . | nindent {len(indent) + 2} }}}}"
    )
    return f"{indent}{{{{- with $.Values.{value} }}}}\n{indent}{inner}\n{indent}{{{{- end }}}}"


def _block_beside(indent: str, key: str, value: str) -> str:
    """Write a field that is there for what users set in it, for the operator's defaults, or for both."""
    lines = [
        f"{{{{- if or $.Values.{value} $.Values.defaults }}}}",
        f"{key}:",
        "  {{- if $.Values.defaults }}",
        *(f"  {line}" for line in BESIDE[value].replace("CHART", deploy.CHART).splitlines()),
        "  {{- end }}",
        f"  {{{{- with $.Values.{value} }}}}",
        f"  {{{{- toYaml . | nindent {len(indent) + 2} }}}}",
        "  {{- end }}",
        "{{- end }}",
    ]
    return "\n".join(indent + line for line in lines)


def _items(found: re.Match[str]) -> str:
    indent, value = found.groups()
    special = {"namespaces": NAMESPACE_ARGUMENTS, "defaults": DEFAULTS_ARGUMENT}
    text = special.get(value, EXTRA.replace("VALUE", value))
    return "\n".join(indent + line for line in text.replace("INDENT", str(len(indent))).splitlines())


def _when(condition: str, text: str) -> str:
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"


def _mark(value: str) -> str:
    return f"MARK {value}"


def _at(obj: Any, path: Any) -> Any:
    for key in path:
        obj = obj[key]
    return obj


def _dump(manifest: Manifest) -> str:
    return yaml.dump(manifest, Dumper=PlainDumper, sort_keys=False, width=1000)
