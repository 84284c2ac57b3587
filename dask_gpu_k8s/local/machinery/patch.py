"""Apply a patch of any kind to an object.

Source: RFC 7386 (merge) and Kubernetes' strategic merge through `dask_gpu_k8s.api.merge`; RFC 6902 (JSON
patch) here.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from dask_gpu_k8s.api.merge import merge_patch, strategic_merge
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause, StatusError, bad_request, invalid, unsupported_media_type
from dask_gpu_k8s.local.machinery.kinds import Kind

CONTENT_TYPES = {
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
    "application/strategic-merge-patch+json": "strategic",
}
ACCEPTED = ", ".join(CONTENT_TYPES)


class BadPatch(ValueError):
    """A JSON patch that cannot be read, or does not fit the object."""


def apply_patch(kind: Kind, old: Manifest, patch: Any, how: str) -> Manifest:
    """Apply a patch.

    Parameters
    ----------
    kind : Kind
        Kind of the object; a custom one has no strategic merge.
    old : dict
    patch : object
        The decoded patch.
    how : str
        ``"merge"``, ``"json"`` or ``"strategic"``.

    Raises
    ------
    StatusError
        400 if the patch cannot be read, 415 if the kind does not take it, 422 if it does not fit.
    """
    if how == "strategic" and kind.custom:
        raise unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json"
        )
    try:
        if how == "json":
            if not isinstance(patch, list):
                raise bad_request("error decoding patch: a JSON patch must be a list of operations")
            return _object(json_patch(old, patch))
        if not isinstance(patch, dict):
            raise bad_request(f"error decoding patch: a {how} patch must be a JSON object")
        if how == "merge":
            return _object(merge_patch(old, patch))
        return strategic_merge(kind.schema() or {}, old, patch)
    except BadPatch as error:
        raise _unfit(error) from error
    except ValueError as error:
        raise invalid(kind.resource, old["metadata"]["name"], [Cause("patch", str(error))]) from error


def _unfit(error: BadPatch) -> StatusError:
    return StatusError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
    )


def _object(patched: Any) -> Manifest:
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise BadPatch("it leaves no object with metadata")
    return patched


def json_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON patch (RFC 6902).

    Parameters
    ----------
    target : object
        Not changed.
    patch : list of dict
        The operations.

    Raises
    ------
    BadPatch
        If an operation is none, or its path is not there, or a test fails.
    """
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        raise BadPatch("a JSON patch is a list of operations")
    if len(patch) > 10_000:
        raise BadPatch(f"the allowed maximum operations in a JSON patch is 10000, got {len(patch)}")
    root = [copy.deepcopy(target)]
    for step in patch:
        operation = _OPERATIONS.get(step.get("op", ""))
        if operation is None or not isinstance(step.get("path"), str):
            raise BadPatch(f"unexpected operation: {json.dumps(step)}")
        operation(root, step)
    return root[0]


def _steps(path: str) -> list[str]:
    """Cut a JSON pointer (RFC 6901) into its steps, the root's own first."""
    if path and not path.startswith("/"):
        raise BadPatch(f"path {path!r} does not begin with '/'")
    return ["0", *(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])]


def _holder(root: list[Any], path: str) -> tuple[Any, Any]:
    """Find what holds the end of a path, and the key or index in it."""
    *way, last = _steps(path)
    here: Any = root
    for step in way:
        here = _child(here, step, path)
    if isinstance(here, list):
        return here, len(here) if last == "-" else _index(last, path)
    if isinstance(here, dict):
        return here, last
    raise BadPatch(f"path {path!r} is not there")


def _index(step: str, path: str) -> int:
    if not step.isdigit():
        raise BadPatch(f"{step!r} in path {path!r} is no index")
    return int(step)


def _child(here: Any, step: str, path: str) -> Any:
    key: Any = _index(step, path) if isinstance(here, list) else step
    try:
        return here[key]
    except (KeyError, IndexError, TypeError):
        raise BadPatch(f"path {path!r} is not there") from None


def _value(step: Manifest) -> Any:
    if "value" not in step:
        raise BadPatch(f"operation without value: {json.dumps(step)}")
    return copy.deepcopy(step["value"])


def _source(step: Manifest) -> str:
    if not isinstance(step.get("from"), str):
        raise BadPatch(f"operation without from: {json.dumps(step)}")
    return str(step["from"])


def _insert(root: list[Any], path: str, value: Any) -> None:
    here, key = _holder(root, path)
    if isinstance(here, dict) or here is root:
        here[key] = value
    elif key <= len(here):
        here.insert(key, value)
    else:
        raise BadPatch(f"index {key} of path {path!r} is out of range")


def _take(root: list[Any], path: str) -> Any:
    here, key = _holder(root, path)
    try:
        return here.pop(key)
    except (KeyError, IndexError):
        raise BadPatch(f"path {path!r} is not there") from None


def _look(root: list[Any], path: str) -> Any:
    here, key = _holder(root, path)
    try:
        return here[key]
    except (KeyError, IndexError):
        raise BadPatch(f"path {path!r} is not there") from None


def _add(root: list[Any], step: Manifest) -> None:
    _insert(root, step["path"], _value(step))


def _remove(root: list[Any], step: Manifest) -> None:
    _take(root, step["path"])


def _replace(root: list[Any], step: Manifest) -> None:
    _look(root, step["path"])
    here, key = _holder(root, step["path"])
    here[key] = _value(step)


def _move(root: list[Any], step: Manifest) -> None:
    _insert(root, step["path"], _take(root, _source(step)))


def _copy(root: list[Any], step: Manifest) -> None:
    _insert(root, step["path"], copy.deepcopy(_look(root, _source(step))))


def _test(root: list[Any], step: Manifest) -> None:
    try:
        found = _look(root, step["path"])
    except BadPatch:
        found = None  # RFC 6902 has no null test for absence; Kubernetes takes the two for equal.
    if found != step.get("value"):
        raise BadPatch(f"testing value {step['path']} failed: test failed")


_OPERATIONS = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
