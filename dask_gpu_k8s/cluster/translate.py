"""From the API server's errors to errors for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dask_gpu_k8s.api.rights import what_is_lost
from dask_gpu_k8s.errors import CRDsMissing, DaskClusterError, InvalidArgument, NoKubernetes, NotAllowed
from dask_gpu_k8s.kube.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    Invalid,
    KubeError,
    NoConfig,
    NotFound,
    Unauthorized,
    Unreachable,
)

INSTALL = (
    "Somebody with the rights has to apply the manifests of dask_gpu_k8s (its CRDs and its operator) once; "
    "for a Kubernetes of your own, that has them, run `python -m dask_gpu_k8s.local`."
)


def outdated_definition(what: str, where: str) -> CRDsMissing:
    """Say that the definitions in this Kubernetes are older than this package.

    Parameters
    ----------
    what : str
        How that shows, e.g. ``"lacks the subresource status"``.
    where : str
        The object concerned.
    """
    return CRDsMissing(
        f"the custom resource definition in this Kubernetes is older than this package: it {what}",
        where=where,
        cure=INSTALL,
    )


def is_missing_kind(error: NotFound) -> bool:
    """Say whether a 404 means that the server does not know the kind, rather than the object."""
    # A missing object is named in the details; a missing kind has none, or no Status object at all.
    return not error.details.get("name")


@contextmanager
def in_plain_words(where: str) -> Iterator[None]:
    """Raise what goes wrong inside as an error for people, with the API server's error as its cause.

    Parameters
    ----------
    where : str
        The object concerned, e.g. ``"DaskCluster default/demo"``.
    """
    try:
        yield
    except KubeError as error:
        raise translate(error, where) from error


def translate(error: KubeError, where: str) -> DaskClusterError:
    """Choose the error for people; see `in_plain_words`."""
    if isinstance(error, NoConfig):
        return NoKubernetes(str(error).rstrip("."), cure="Or run one here: `python -m dask_gpu_k8s.local`.")
    if isinstance(error, Unreachable):
        return NoKubernetes(
            f"the API server does not answer ({error})",
            where=where,
            cure="Is it running, and does `kubectl version` reach it from here?",
        )
    if isinstance(error, Unauthorized):
        return NotAllowed(error.message.rstrip("."), where=where, cure="Log in again.")
    if isinstance(error, Forbidden):
        ask = "Ask for a Role that allows it (docs/rbac.md has one), or use another context or namespace."
        lost = what_is_lost(error.message)
        return NotAllowed(error.message.rstrip("."), where=where, cure=f"{lost} {ask}".strip())
    if isinstance(error, NotFound) and error.details.get("kind") == "namespaces":
        return InvalidArgument(
            error.message, where=where, cure="Create the namespace, or say another with namespace=."
        )
    if isinstance(error, NotFound) and is_missing_kind(error):
        return CRDsMissing(
            "this Kubernetes does not know the custom resources of dask_gpu_k8s", where=where, cure=INSTALL
        )
    if isinstance(error, (Invalid, BadRequest)):
        return InvalidArgument(error.message, where=where)
    text = error.message if isinstance(error, ApiError) else str(error)
    return DaskClusterError(f"the API server answered: {text}", where=where)
