"""Stage 1 of the CRDs: take the schemas that we need out of Kubernetes' own OpenAPI documents.

Needs Go and the network, once per Kubernetes version; what it writes is kept in the repository.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api.quantity import QUANTITY_PATTERN

KUBERNETES = "1.34.4"

DOCUMENTS = {
    "api__v1": (
        "Pod", "Service", "Endpoints", "ConfigMap", "Secret", "Event", "Namespace", "Node", "ServiceAccount",
        "ResourceQuota",
    ),
    "apis__apiextensions.k8s.io__v1": ("CustomResourceDefinition",),
    "apis__coordination.k8s.io__v1": ("Lease",),
    "apis__discovery.k8s.io__v1": ("EndpointSlice",),
    "apis__events.k8s.io__v1": ("Event",),
    "apis__networking.k8s.io__v1": ("NetworkPolicy",),
    "apis__policy__v1": ("PodDisruptionBudget",),
    "apis__rbac.authorization.k8s.io__v1": ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
}  # fmt: skip
"""Kinds by the document that describes them."""

DROPPED = (
    "description",
    "x-kubernetes-group-version-kind",
    "x-kubernetes-unions",
    "allOf",
    "$ref",
    "default",
)

SPECIAL: dict[str, dict[str, Any]] = {
    "Quantity": {"anyOf": [{"type": "number"}, {"type": "string"}], "pattern": QUANTITY_PATTERN},
    "IntOrString": {"x-kubernetes-int-or-string": True},
    # Any JSON, or a schema within a schema: a CRD cannot say more about itself.
    "JSON": {"x-kubernetes-preserve-unknown-fields": True},
    "JSONSchemaProps": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}

REPEATABLE = ("env", "hostAliases", "imagePullSecrets")
"""Lists that the document calls maps, but whose keys a Pod may repeat."""


def extract() -> dict[str, Any]:
    """Make the contents of kubernetes.json: the version, the kinds and all that they refer to."""
    documents = dict(read_documents())
    found: dict[str, dict[str, Any]] = {}
    for document in documents.values():
        found |= document["components"]["schemas"]
    kinds = {
        key: name for stem, wanted in DOCUMENTS.items() for key, name in kinds_of(documents[stem], wanted)
    }
    names = short_names(found, kinds.values())
    return {
        "definitions": {
            short: SPECIAL.get(short) or simplify(found[name], names) for name, short in names.items()
        },
        "kinds": {key: names[name] for key, name in kinds.items()},
        "version": KUBERNETES,
    }


def read_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the documents out of the Go module that holds Kubernetes' sources."""
    module = f"k8s.io/kubernetes@v{KUBERNETES}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "go.mod").write_text("module schemas\n\ngo 1.21\n")
        answer = subprocess.run(
            ["go", "mod", "download", "-json", module], cwd=folder, check=True, capture_output=True, text=True
        )
    with zipfile.ZipFile(json.loads(answer.stdout)["Zip"]) as archive:
        for stem in DOCUMENTS:
            yield stem, json.loads(archive.read(f"{module}/api/openapi-spec/v3/{stem}_openapi.json"))


def kinds_of(document: dict[str, Any], wanted: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Find the schemas of kinds by what they say they are; the key is the kind, and its group if need be."""
    for name, schema in document["components"]["schemas"].items():
        for what in schema.get("x-kubernetes-group-version-kind", ()):
            if what["kind"] in wanted and name.endswith(f".{what['kind']}") and ".meta.v1." not in name:
                second_event = what["kind"] == "Event" and what["group"]
                yield f"{what['kind']}.{what['group']}" if second_event else what["kind"], name


def short_names(found: dict[str, Any], roots: Any) -> dict[str, str]:
    """Give every schema that can be reached from the roots the last part of its name, longer if taken."""
    names: dict[str, str] = {}
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop(0)
        if name in names:
            continue
        short = name.rpartition(".")[2]
        names[name] = short if short not in names.values() else ".".join(name.split(".")[-3:])
        if short not in SPECIAL:
            waiting += references(found[name])
    return dict(sorted(names.items(), key=lambda item: item[1]))


def references(schema: Any) -> list[str]:
    """List the names that a schema refers to, in a stable order."""
    if isinstance(schema, dict):
        here = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return here + [name for key in sorted(schema) for name in references(schema[key])]
    if isinstance(schema, list):
        return [name for item in schema for name in references(item)]
    return []


def simplify(schema: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Drop what is prose, and defaults that are only Go's zero values; write references short."""
    kept = {key: value for key, value in schema.items() if key not in DROPPED}
    reference = schema.get("$ref") or schema.get("allOf", [{}])[0].get("$ref")
    if reference:
        kept["$ref"] = names[reference.rpartition("/")[2]]
    if schema.get("default"):
        kept["default"] = schema["default"]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = simplify(schema[key], names)
    if "properties" in schema:
        kept["properties"] = {
            key: simplify(field, names) for key, field in sorted(schema["properties"].items())
        }
        for key in REPEATABLE:
            for word in ("x-kubernetes-list-type", "x-kubernetes-list-map-keys"):
                kept["properties"].get(key, {}).pop(word, None)
    return dict(sorted(kept.items()))
