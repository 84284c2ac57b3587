"""What gets installed: the CustomResourceDefinitions, the operator, and checks against their schemas."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.builtin import builtin_schemas, kubernetes_version
from dask_gpu_k8s.api.crd import make_crds
from dask_gpu_k8s.api.schema import apply_defaults, did_you_mean, fields_at, unknown_fields, validate
from dask_gpu_k8s.api.types import Manifest

__all__ = [
    "OPERATOR_NAME",
    "OPERATOR_NAMESPACE",
    "builtin_schemas",
    "crds",
    "custom_schemas",
    "kubernetes_version",
    "operator_manifests",
    "pod_schema",
    "validate_custom",
]

OPERATOR_NAME = "dask-operator"
OPERATOR_NAMESPACE = "dask-operator"
OPERATOR_IMAGE = "ghcr.io/dask-gpu-k8s/dask-gpu-k8s"
OPERATOR_COMMAND = ("python", "-m", "dask_gpu_k8s.operator")


@cache
def _crds() -> list[Manifest]:
    return make_crds()


def crds() -> list[Manifest]:
    """Give the CustomResourceDefinitions of our four kinds, the same as in ``api/crds/*.yaml``.

    Returns
    -------
    list of dict
        Copies: the caller may change them.
    """
    return copy.deepcopy(_crds())


@cache
def custom_schemas() -> dict[str, Manifest]:
    """Give the schemas of our kinds by kind, e.g. ``"DaskCluster"``. Shared: do not change them."""
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in _crds()
    }


def pod_schema() -> Manifest:
    """Give the schema of Pod, as Kubernetes has it. Shared: do not change it."""
    return builtin_schemas()["Pod"]


def validate_custom(obj: Manifest) -> list[str]:
    """Say everything that is wrong with an object of one of our kinds, before it is sent.

    Parameters
    ----------
    obj : dict
        A DaskCluster, DaskWorkerGroup, DaskJob or DaskAutoscaler; not changed.

    Returns
    -------
    list of str
        One sentence per problem, each beginning with the path of the field; empty if all is well.
    """
    schemas = custom_schemas()
    kind = obj.get("kind")
    if kind not in schemas:
        return [f"kind: {kind!r} is not one of {', '.join(schemas)}{_hint(str(kind), schemas)}"]
    schema = schemas[kind]
    return [
        *(_unknown(schema, path) for path in unknown_fields(schema, obj)),
        *(str(error) for error in validate(schema, apply_defaults(schema, obj))),
    ]


def _unknown(schema: Manifest, path: str) -> str:
    parent, _, field = path.rpartition(".")
    return f"{path}: unknown field{_hint(field, fields_at(schema, parent))}"


def _hint(word: str, candidates: Sequence[str] | dict[str, Manifest]) -> str:
    meant = did_you_mean(word, candidates)
    return f"; did you mean {meant!r}?" if meant else ""


def operator_manifests(
    namespace: str = OPERATOR_NAMESPACE, command: Sequence[str] = OPERATOR_COMMAND, image: str | None = None
) -> list[Manifest]:
    """Make the operator as a bare Pod in a namespace of its own, as a LocalKubernetes runs it.

    Parameters
    ----------
    namespace : str
        Where the operator lives; it serves all namespaces.
    command : sequence of str
        What the Pod runs.
    image : str, optional
        Default: this project's image of this version. A LocalKubernetes pulls none.

    Returns
    -------
    list of dict
        In the order in which they must be created.
    """
    if image is None:
        image = f"{OPERATOR_IMAGE}:{_version()}"
    container = {"name": "operator", "image": image, "command": list(command)}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": OPERATOR_NAME,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/name": OPERATOR_NAME, **labels.of_operator()},
            },
            "spec": {"restartPolicy": "Always", "containers": [container]},
        },
    ]


def _version() -> str:
    from importlib.metadata import version

    return version("dask-gpu-k8s")
