"""The one type that travels: a Kubernetes object as plain JSON data."""

from __future__ import annotations

from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object (or a part of one) exactly as the API sends it: nested dicts, lists and scalars."""
