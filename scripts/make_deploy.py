"""Write deploy/ from the package: kustomize folders, one flat file, the Helm chart.

``--check`` writes nothing and says whether they are up to date.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml
from helm_chart import HEAD, chart_files
from make_crds import PlainDumper

from dask_gpu_k8s.api import deploy, rights
from dask_gpu_k8s.api.crd import make_crds
from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from dask_gpu_k8s.api.types import Manifest

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / deploy.CHART
DOCS = ROOT / "docs" / "rbac.md"
CRDS = ROOT / "dask_gpu_k8s" / "api" / "crds"
WRITTEN = tuple(DEPLOY / name for name in ("adopting", "cluster", "helm", "namespaced", "notebook", "shared"))
"""Folders in which nothing else may lie."""

ONE_NAMESPACE = "dask"
"""Where the operator for one namespace goes unless a kustomization of one's own says otherwise."""


def wanted() -> dict[Path, str]:
    release = version("dask-gpu-k8s")
    it = deploy.Installation(f"{OPERATOR_IMAGE}:{release}", release)
    alone = deploy.Installation(it.image, release, namespace=ONE_NAMESPACE)
    namespace = deploy.make_namespace(it.namespace)
    everywhere = [
        deploy.make_account(it),
        *deploy.make_cluster_rights(it),
        *deploy.make_lease_rights(it),
        deploy.make_deployment(it),
    ]
    somewhere = [
        deploy.make_account(alone),
        *deploy.make_namespace_rights(alone, ONE_NAMESPACE),
        *deploy.make_lease_rights(alone),
        deploy.make_deployment(alone, [deploy.OWN_NAMESPACE]),
    ]
    user_roles = deploy.make_user_roles(it)
    crds = make_crds()
    return {
        # Without a suffix, so that kubectl apply -f takes the folder too.
        CRDS / "Kustomization": _kustomization([f"{crd['spec']['names']['plural']}.yaml" for crd in crds]),
        DEPLOY / "adopting" / "kustomization.yaml": _kustomization(["rights.yaml"]),
        DEPLOY / "adopting" / "rights.yaml": _dump(deploy.make_adoption_rights(it)),
        DEPLOY / "shared" / "kustomization.yaml": _kustomization(
            ["../../dask_gpu_k8s/api/crds", "user-roles.yaml"]
        ),
        DEPLOY / "shared" / "user-roles.yaml": _dump(user_roles),
        DEPLOY / "cluster" / "kustomization.yaml": _kustomization(
            ["../shared", "namespace.yaml", "operator.yaml"]
        ),
        DEPLOY / "cluster" / "namespace.yaml": _dump([namespace]),
        DEPLOY / "cluster" / "operator.yaml": _dump(everywhere),
        DEPLOY / "namespaced" / "kustomization.yaml": _kustomization(["operator.yaml"]),
        DEPLOY / "namespaced" / "operator.yaml": _dump(somewhere),
        DEPLOY / "notebook" / "kustomization.yaml": _kustomization(["role.yaml"]),
        DEPLOY / "notebook" / "role.yaml": _dump([deploy.make_notebook_role(it)]),
        DOCS: _with_rules(DOCS.read_text(encoding="utf-8")),
        DEPLOY / "install.yaml": _dump([*crds, *user_roles, namespace, *everywhere]),
        **{CHART / path: text for path, text in chart_files(release).items()},
    }


def _with_rules(page: str) -> str:
    """Put the tables of rules into the page, each between its marks."""
    tables = {
        "rules": rights.OPERATOR_RULES,
        "everywhere": rights.CLUSTER_RULES,
        "lease": rights.LEASE_RULES,
        "notebook": rights.NOTEBOOK_RULES,
    }
    for mark, rules in tables.items():
        columns = ["resources", "verbs", "what for", *(["without"] if rules[0].without else [])]
        rows = [_row(columns), "|" + "---|" * len(columns)]
        for rule in rules:
            names = ", ".join(f"`{name}`" for name in rule.resources)
            rows.append(_row([names, ", ".join(rule.verbs), rule.why, *filter(None, [rule.without])]))
        begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
        before, _, rest = page.partition(begin)
        page = "\n".join([before + begin, "", *rows, "", end + rest.partition(end)[2]])
    return page


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _kustomization(resources: Sequence[str]) -> str:
    return _dump(
        [
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": list(resources),
            }
        ]
    )


def _dump(manifests: Sequence[Manifest]) -> str:
    texts = (yaml.dump(one, Dumper=PlainDumper, sort_keys=False, width=110) for one in manifests)
    return HEAD + "---\n".join(texts)


def check(files: dict[Path, str]) -> list[str]:
    there = {path for folder in WRITTEN for path in folder.rglob("*") if path.is_file()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    return [
        f"{path.relative_to(ROOT)} is not what scripts/make_deploy.py writes: run it"
        for path in [*stale, *sorted(there - set(files))]
    ]


def write(files: dict[Path, str]) -> None:
    for folder in WRITTEN:
        shutil.rmtree(folder, ignore_errors=True)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something would change"
    )
    options = parser.parse_args()
    files = wanted()
    problems = check(files) if options.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    if not options.check:
        write(files)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
