"""Answers: JSON with a status and warnings; lists from encoded objects; tables and metadata on demand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.http.bodies import Form
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.reads import Page
from dask_gpu_k8s.local.machinery.store import Entry, encode
from dask_gpu_k8s.local.printing.table import make_table


def json_answer(body: bytes, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    """Make an answer from encoded JSON."""
    answer = web.Response(body=body, status=status, content_type="application/json")
    for text in warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        answer.headers.add("Warning", f'299 - "{quoted}"')
    return answer


def refusal(error: StatusError, warnings: Iterable[str] = ()) -> web.Response:
    """Make the answer to a request that is refused."""
    return json_answer(encode(error.status), error.code, warnings)


def entry_json(api: Api, kind: Kind, entry: Entry) -> bytes:
    """Return an object as JSON in the version of a kind; no work if it is stored in that version."""
    served = api.served(kind, entry.obj)
    return entry.json if served is entry.obj else encode(served)


def formed(api: Api, kind: Kind, obj: Manifest, form: Form) -> Any:
    """Give an object the form that was asked for."""
    if form.kind == "Table":
        meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return make_table(kind.printer, [obj], api.now(), meta, form.include)
    if form.kind.startswith("PartialObjectMetadata"):
        return _only_metadata(obj)
    return obj


def _only_metadata(obj: Manifest) -> Manifest:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def list_json(api: Api, kind: Kind, page: Page, form: Form) -> bytes:
    """Encode a page of a list in the form that was asked for."""
    meta: Manifest = {"resourceVersion": str(page.version)}
    if page.token:
        meta["continue"] = page.token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
    if form.kind == "Table":
        objects = [api.served(kind, entry.obj) for entry in page.entries]
        return encode(make_table(kind.printer, objects, api.now(), meta, form.include))
    if form.kind:
        items = [encode(_only_metadata(entry.obj)) for entry in page.entries]
        return _joined("PartialObjectMetadataList", "meta.k8s.io/v1", meta, items)
    items = [entry_json(api, kind, entry) for entry in page.entries]
    return _joined(kind.list_kind, kind.resource.api_version, meta, items)


def _joined(name: str, version: str, meta: Manifest, items: list[bytes]) -> bytes:
    head = encode({"kind": name, "apiVersion": version, "metadata": meta})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
