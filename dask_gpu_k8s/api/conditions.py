"""Conditions: the part of a status that says in words what holds and since when.

Source: Kubernetes' API conventions, "Typical status properties".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TypeAlias

from dask_gpu_k8s.api.types import Manifest

TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"

_TIME = re.compile(r"([^.Zz+]+?)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?")

Said: TypeAlias = tuple[str, str, str]
"""Status, reason and message of a condition."""


def format_time(moment: datetime) -> str:
    """Write a time as Kubernetes does, in UTC and whole seconds.

    Parameters
    ----------
    moment : datetime.datetime
        Without a time zone it counts as UTC.
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it, with or without fractions of a second, or with another zone.

    Raises
    ------
    ValueError
        If `text` is not such a time.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time: {text!r}")
    whole, rest, zone = found.groups()
    # Python 3.10 reads fractions of three or six digits only, and no Z.
    fraction = f".{rest[:6]:0<6}" if rest else ""
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    return datetime.fromisoformat(whole + fraction + zone).astimezone(timezone.utc)


def condition(
    type: str,
    status: bool | str,
    reason: str,
    message: str = "",
    *,
    generation: int | None = None,
    now: datetime | None = None,
) -> Manifest:
    """Make a condition.

    Parameters
    ----------
    type : str
        What it is about, e.g. ``"SchedulerReady"``.
    status : bool or str
        ``True``, ``False``, or one of ``"True"``, ``"False"``, ``"Unknown"``.
    reason : str
        Why, in one CamelCase word.
    message : str
        Why, in a sentence.
    generation : int, optional
        ``metadata.generation`` of the object that was looked at.
    now : datetime.datetime, optional
        When it became so; `set_condition` fills this in.
    """
    made: Manifest = {"type": type, "status": str(status), "reason": reason, "message": message}
    if generation is not None:
        made["observedGeneration"] = generation
    if now is not None:
        made["lastTransitionTime"] = format_time(now)
    return made


def set_condition(conditions: Iterable[Manifest] | None, new: Manifest, now: datetime) -> list[Manifest]:
    """Put a condition among others, in place of the one of its type.

    ``lastTransitionTime`` stays as it was unless the status changes, so that a reconcile which finds
    everything as before writes nothing.

    Parameters
    ----------
    conditions : iterable of dict or None
        As in the object's status; not changed.
    new : dict
        From `condition`.
    now : datetime.datetime
        When this is being decided.

    Returns
    -------
    list of dict
    """
    kept = list(conditions or ())
    old = find(kept, new["type"])
    if old is not None and old["status"] == new["status"] and "lastTransitionTime" in old:
        since = old["lastTransitionTime"]
    else:
        since = format_time(now)
    placed = {**new, "lastTransitionTime": since}
    if old is None:
        return [*kept, placed]
    return [placed if item is old else item for item in kept]


def find(conditions: Iterable[Manifest] | None, type: str) -> Manifest | None:
    """Find the condition of a type."""
    return next((item for item in conditions or () if item.get("type") == type), None)


def told(obj: Manifest | None, type: str) -> Manifest:
    """Return the condition of a type as an object's status has it; empty if there is none."""
    return find(((obj or {}).get("status") or {}).get("conditions"), type) or {}


def with_conditions(obj: Manifest, said: Mapping[str, Said], now: datetime) -> list[Manifest]:
    """Return all conditions of an object: those that its status has, and what is said now in their place.

    Parameters
    ----------
    obj : dict
    said : mapping
        By type.
    now : datetime.datetime
        When this is being decided.
    """
    known = list((obj.get("status") or {}).get("conditions") or ())
    generation = obj["metadata"].get("generation")
    for type_, what in said.items():
        known = set_condition(known, condition(type_, *what, generation=generation, now=now), now)
    return known


def holds(conditions: Iterable[Manifest] | None, type: str) -> bool:
    """Say whether the condition of a type is there and true."""
    found = find(conditions, type)
    return found is not None and found.get("status") == TRUE
