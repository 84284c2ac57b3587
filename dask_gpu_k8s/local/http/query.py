"""What a query asks for: how to list, watch, write and delete.

Source: Kubernetes' API reference, "Common Parameters", ListOptions and DeleteOptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dask_gpu_k8s.local.errors import bad_request, invalid_options
from dask_gpu_k8s.local.machinery.options import DeleteOptions, WriteOptions


class Query(Protocol):
    """The parameters of a request; a name may come several times."""

    def get(self, name: str, default: str) -> str:
        """Return the first value of a parameter."""
        ...

    def getall(self, name: str, default: list[str]) -> list[str]:
        """Return every value of a parameter."""
        ...


def flag(query: Query, name: str) -> bool:
    """Read a parameter that is true or false."""
    text = query.get(name, "")
    if text.lower() in ("", "0", "false", "f"):
        return False
    if text.lower() in ("1", "true", "t"):
        return True
    raise bad_request(f"{name} must be true or false, not {text!r}")


def number(query: Query, name: str) -> int | None:
    """Read a parameter that is a number; None if it is not there."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f"{name} must be a number, not {text!r}") from None


def _dry_run(values: list[str], what: str) -> bool:
    wrong = [value for value in values if value not in ("", "All")]
    if wrong:
        text = f'Unsupported value: ["{wrong[0]}"]: supported values: "All"'
        raise invalid_options(what, "dryRun", text)
    return "All" in values


_WHAT = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}


def write_options(method: str, query: Query, warn: Callable[[str], None]) -> WriteOptions:
    """Read how a POST, PUT or PATCH is to be taken."""
    what = _WHAT[method]
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        text = f'Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
        raise invalid_options(what, "fieldValidation", text)
    return WriteOptions(validation, _dry_run(query.getall("dryRun", []), what), warn)


def delete_options(query: Query, body: Any) -> DeleteOptions:
    """Read how a DELETE is to be taken, from its body and its query."""
    sent: Mapping[str, Any] = body if isinstance(body, dict) else {}
    conditions = sent.get("preconditions") or {}
    grace = sent.get("gracePeriodSeconds", number(query, "gracePeriodSeconds"))
    propagation = sent.get("propagationPolicy") or query.get("propagationPolicy", "") or None
    orphan = sent.get("orphanDependents")
    if orphan is not None and propagation is None:
        propagation = "Orphan" if orphan else "Background"
    dry_run = _dry_run(list(sent.get("dryRun") or query.getall("dryRun", [])), "DeleteOptions")
    version = conditions.get("resourceVersion")
    return DeleteOptions(conditions.get("uid"), version, grace, propagation, dry_run)


@dataclass(frozen=True)
class ListQuery:
    """How to list or watch.

    Attributes
    ----------
    labels, fields : str
        Selectors.
    limit : int
    token : str
        The ``continue`` parameter.
    version : int or None
        ``resourceVersion``; None if none was given, which is not the same as 0.
    exact : bool
        The list is to show just that version.
    watch : bool
    bookmarks : bool
    initial_events : bool
        Begin the watch with all that is there.
    timeout : int or None
        Seconds.
    """

    labels: str
    fields: str
    limit: int
    token: str
    version: int | None
    exact: bool
    watch: bool
    bookmarks: bool
    initial_events: bool
    timeout: int | None


def list_query(query: Query) -> ListQuery:
    """Read how to list or watch; StatusError 400 or 422 for what makes no sense together."""
    match = query.get("resourceVersionMatch", "")
    initial = query.get("sendInitialEvents", "")
    watch = flag(query, "watch")
    version = _version(query.get("resourceVersion", ""))
    _check_match(match, version, watch, initial)
    token = query.get("continue", "")
    if token and version:
        raise bad_request("specifying resource version is not allowed when using continue")
    return ListQuery(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        limit=number(query, "limit") or 0,
        token=token,
        version=version,
        exact=match == "Exact",
        watch=watch,
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_events=flag(query, "sendInitialEvents"),
        timeout=number(query, "timeoutSeconds"),
    )


def _version(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": resourceVersion must be a number this server gave out')
    return int(text)


def _check_match(match: str, version: int | None, watch: bool, initial: str) -> None:
    field = "resourceVersionMatch"
    if match not in ("", "Exact", "NotOlderThan"):
        text = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        raise invalid_options("ListOptions", field, text)
    if watch:
        if match and not initial:
            text = (
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
            raise invalid_options("ListOptions", field, text)
        if initial and match != "NotOlderThan":
            text = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid_options("ListOptions", field, text)
        return
    if initial:
        text = "Forbidden: sendInitialEvents is forbidden for list"
        raise invalid_options("ListOptions", "sendInitialEvents", text)
    if match and version is None:
        text = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise invalid_options("ListOptions", field, text)
    if match == "Exact" and version == 0:
        text = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise invalid_options("ListOptions", field, text)
