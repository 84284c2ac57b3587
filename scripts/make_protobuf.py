"""Write local/http/protobuf.json: how Kubernetes' own kinds are numbered in its protobuf encoding.

``python scripts/make_protobuf.py MODULES`` reads the Go modules ``k8s.io/api`` and ``k8s.io/apimachinery``
below the folder MODULES (``go mod download k8s.io/api@v0.34.4`` fetches both). Of each message it keeps, by
field number, the field's JSON name, its type and how it is written in JSON; nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

VERSION = "v0.34.4"
TARGET = Path(__file__).parent.parent / "dask_gpu_k8s" / "local" / "http" / "protobuf.json"

KINDS = {
    "k8s.io.api.core.v1": (
        "Binding ConfigMap Endpoints Event Namespace Node Pod Secret Service ServiceAccount".split()
    ),
    "k8s.io.api.authentication.v1": ["SelfSubjectReview"],
    "k8s.io.api.authorization.v1": ["SelfSubjectAccessReview", "SelfSubjectRulesReview"],
    "k8s.io.api.autoscaling.v1": ["Scale"],
    "k8s.io.api.coordination.v1": ["Lease"],
    "k8s.io.api.discovery.v1": ["EndpointSlice"],
    "k8s.io.api.policy.v1": ["Eviction", "PodDisruptionBudget"],
    "k8s.io.api.rbac.v1": "ClusterRole ClusterRoleBinding Role RoleBinding".split(),
    "k8s.io.apimachinery.pkg.apis.meta.v1": ["DeleteOptions"],
}
GROUPS = {
    "authentication": "k8s.io",
    "authorization": "k8s.io",
    "coordination": "k8s.io",
    "discovery": "k8s.io",
}
GROUPS["rbac"] = "authorization.k8s.io"
BY_HAND = ("Time", "MicroTime", "IntOrString", "Quantity", "FieldsV1", "RawExtension")
"""Messages whose JSON is no object of their fields; the decoder knows them."""

SCALARS = ("string", "bytes", "bool", "int32", "int64", "double")
FIELD = re.compile(r"(optional|repeated|map<string, *([\w.]+)>)\s*([\w.]*)\s+(\w+) = (\d+);")
TAG = re.compile(r'^\s+(?:\w+\s+)?(\S+)\s+`json:"([^"]*)"\s+protobuf:"\w+,(\d+),[^"]*"')


def proto_files(modules: Path) -> dict[str, Path]:
    """Find the ``generated.proto`` of each package."""
    found = {}
    for module in ("api", "apimachinery"):
        root = modules / f"{module}@{VERSION}"
        for path in root.rglob("generated.proto"):
            found[f"k8s.io.{module}." + ".".join(path.parent.relative_to(root).parts)] = path
    return found


def go_fields(folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Read (struct, field number) to (Go type, JSON tag) from the sources beside a ``generated.proto``."""
    found = {}
    for path in folder.glob("*.go"):
        struct = ""
        for line in path.read_text().splitlines():
            if match := re.match(r"type (\w+) struct", line):
                struct = match.group(1)
            elif match := TAG.match(line):
                found[struct, match.group(3)] = (match.group(1), match.group(2))
    return found


def messages(package: str, path: Path) -> dict[str, dict[str, str]]:
    """Read the messages of a package: full name to field number to description."""
    text = re.sub(r"//.*", "", path.read_text())
    tags = go_fields(path.parent)
    found = {}
    for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        fields = {}
        for label, value, kind, field, number in FIELD.findall(body):
            go_type, tag = tags.get((name, number), ("", field))
            fields[number] = describe(package, label, value or kind, field, go_type, tag)
        found[f"{package}.{name}"] = fields
    return found


def describe(package: str, label: str, kind: str, field: str, go_type: str, tag: str) -> str:
    """Write one field as ``name type flags``: r repeated, m map, i inline, o omitted when zero."""
    json_name, _, options = tag.partition(",")
    if kind not in SCALARS:
        kind = kind.lstrip(".") if "." in kind else f"{package}.{kind}"
    flags = {"repeated": "r", "optional": ""}.get(label, "m")
    flags += "i" if "inline" in options else ""
    flags += "o" if "omitempty" in options and not go_type.startswith("*") else ""
    return f"{json_name or field} {kind} {flags}"


def short(name: str) -> str:
    """Shorten a message's name to its group, version and kind."""
    return re.sub(r"k8s\.io\.(api|apimachinery\.pkg\.(apis|api|util)|apimachinery\.pkg)\.", "", name)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", type=Path, help="e.g. ~/go/pkg/mod/k8s.io")
    every: dict[str, dict[str, str]] = {}
    for package, path in proto_files(parser.parse_args().modules).items():
        every.update(messages(package, path))
    kept: dict[str, dict[str, str]] = {}
    due = [f"{package}.{kind}" for package, kinds in KINDS.items() for kind in kinds]
    while due:
        name = due.pop()
        if name in kept or name in SCALARS or name.rpartition(".")[2] in BY_HAND:
            continue
        kept[name] = every[name]
        due += [field.split(" ")[1] for field in kept[name].values()]
    kinds = {}
    for package, names in KINDS.items():
        group, version = package.split(".")[-2:]
        group = f"{group}.{GROUPS[group]}" if group in GROUPS else group
        home = version if group in ("core", "meta") else f"{group}/{version}"
        kinds.update({f"{home}/{name}": short(f"{package}.{name}") for name in names})
    table = {
        short(name): {
            number: " ".join(
                (short(part) if index == 1 else part) for index, part in enumerate(text.split(" "))
            )
            for number, text in fields.items()
        }
        for name, fields in sorted(kept.items())
    }
    document = {"version": VERSION, "kinds": kinds, "messages": table}
    TARGET.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
