"""Bodies of requests, and the form in which a client wants its answer.

Source: Kubernetes' documentation, "API concepts: Alternate representations of resources".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.local.errors import StatusError, bad_request, unsupported_media_type
from dask_gpu_k8s.local.http import protobuf
from dask_gpu_k8s.local.machinery.patch import ACCEPTED, CONTENT_TYPES

APPLY = "application/apply-patch+yaml"


def parse_body(content_type: str, body: bytes) -> Any:
    """Decode the object that a POST, PUT or DELETE carries; None if there is none.

    Raises
    ------
    StatusError
        415 for a form that is not understood, 400 for a body that is not of its form.
    """
    if not body.strip():
        return None
    if content_type in ("application/json", "", "application/octet-stream", "text/plain"):
        return parse_json(body)
    if content_type in ("application/yaml", "application/x-yaml", "text/yaml"):
        return _parse_yaml(body)
    if content_type == protobuf.CONTENT_TYPE:
        return _parse_protobuf(body)
    raise unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        f"application/json, application/yaml, {protobuf.CONTENT_TYPE} (not {content_type})"
    )


def _parse_protobuf(body: bytes) -> Any:
    try:
        return protobuf.decode(body)
    except protobuf.BadProtobuf as error:
        raise unsupported_media_type(str(error)) from error


def parse_json(body: bytes) -> Any:
    """Decode JSON; StatusError 400 if it is none."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error


def _parse_yaml(body: bytes) -> Any:
    # PyYAML takes longer to load than this server to start, and clients send JSON.
    import yaml

    try:
        return json.loads(json.dumps(yaml.safe_load(body)))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


def parse_patch(content_type: str, body: bytes) -> tuple[str, Any]:
    """Decode a patch; returns its kind (``merge``, ``json``, ``strategic``) and itself.

    Raises
    ------
    StatusError
        415 for kinds of patch that are not supported; server-side apply is one.
    """
    how = CONTENT_TYPES.get(content_type)
    if how is None:
        why = f"accepted media types include: {ACCEPTED}"
        if content_type == APPLY:
            why += (
                "; server-side apply needs managed fields, which this server does not keep: "
                "use client-side apply (kubectl apply without --server-side)"
            )
        raise unsupported_media_type(f"the body of the request was in an unknown format - {why}")
    try:
        return how, json.loads(body)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from error


@dataclass(frozen=True)
class Form:
    """How an answer is to look: ``""`` for the objects themselves, ``"Table"``, or metadata alone."""

    kind: str = ""
    include: str = "Metadata"


_AS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


def wanted_form(accept: str, include_object: str) -> Form:
    """Choose the first form of an Accept header that can be served.

    Raises
    ------
    StatusError
        406 if none can.
    """
    for choice in accept.split(",") if accept.strip() else ("*/*",):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media not in ("application/json", "*/*", "application/*"):
            continue
        asked = dict(parameter.partition("=")[::2] for parameter in parameters)
        kind = asked.get("as", "")
        if not kind:
            return Form()
        if kind in _AS and asked.get("g") == "meta.k8s.io" and asked.get("v", "v1") == "v1":
            return Form(kind, include_object or "Metadata")
    message = "only the following media types are accepted: application/json"
    raise StatusError(406, "NotAcceptable", message)
