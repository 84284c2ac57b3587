"""Write api/crds/*.yaml from the schemas in the package; ``--check`` only says whether they are up to date.

``--extract`` first takes Kubernetes' own schemas anew from its sources into api/kubernetes.json (needs Go).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

API = Path(__file__).parent.parent / "dask_gpu_k8s" / "api"
HEAD = "# Written by scripts/make_crds.py: change the schemas in api/customfields.py, not this file.\n"
LARGEST = 262_144
"""Bytes that an annotation may have: plain `kubectl apply` keeps the whole object in one."""


class PlainDumper(yaml.SafeDumper):
    """Writes repeated parts out, for readers that know no YAML anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say that nothing may be written as an alias."""
        return True


def wanted() -> dict[Path, str]:
    from dask_gpu_k8s.api.crd import make_crds

    return {
        API / "crds" / f"{crd['spec']['names']['plural']}.yaml": HEAD
        + yaml.dump(crd, Dumper=PlainDumper, sort_keys=False, width=110)
        for crd in make_crds()
    }


def too_large() -> list[str]:
    from dask_gpu_k8s.api.crd import make_crds

    sizes = {
        crd["metadata"]["name"]: len(json.dumps(crd, separators=(",", ":")).encode()) for crd in make_crds()
    }
    return [f"{name} has {size} bytes as compact JSON" for name, size in sizes.items() if size >= LARGEST]


def extract_kubernetes() -> None:
    from extract_schemas import extract

    text = json.dumps(extract(), separators=(",", ":"), sort_keys=True)
    (API / "kubernetes.json").write_text(text + "\n", encoding="utf-8")


def check(files: dict[Path, str]) -> list[str]:
    strays = set((API / "crds").glob("*.yaml")) - set(files)
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    return [
        f"{path.name} is not what scripts/make_crds.py writes: run it" for path in [*stale, *sorted(strays)]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something would change"
    )
    parser.add_argument("--extract", action="store_true", help="first renew kubernetes.json (needs Go)")
    options = parser.parse_args()
    if options.extract:
        extract_kubernetes()
    files = wanted()
    problems = too_large() + (check(files) if options.check else [])
    for problem in problems:
        print(problem, file=sys.stderr)
    if not options.check:
        (API / "crds").mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
