"""Refusals of the API server: one exception that carries a ``Status`` object, and a maker for each reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest


class StatusError(Exception):
    """A request that is refused.

    Attributes
    ----------
    code : int
        HTTP status.
    reason : str
        Machine-readable reason, e.g. ``"NotFound"``.
    message : str
        The sentence people read.
    details : dict
        ``details`` of the Status object.
    """

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    @property
    def status(self) -> Manifest:
        """The ``Status`` object to send."""
        body: Manifest = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        if not self.details:
            del body["details"]
        if not self.reason:
            del body["reason"]
        return body


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with an object.

    Attributes
    ----------
    path : str
        Where, e.g. ``"spec.containers[0].image"``.
    message : str
        What, in Kubernetes' form, e.g. ``"Required value"``.
    reason : str
        e.g. ``"FieldValueRequired"``.
    """

    path: str
    message: str
    reason: str = "FieldValueInvalid"


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> StatusError:
    """404: no object of that name."""
    return StatusError(404, "NotFound", f'{resource.full_name} "{name}" not found', _details(resource, name))


def no_such_path() -> StatusError:
    """404: the server does not have this kind."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> StatusError:
    """409: the name is taken."""
    message = f'{resource.full_name} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> StatusError:
    """409: the object changed meanwhile, or a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {resource.full_name} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(resource, name))


def stale(resource: Resource, name: str) -> StatusError:
    """409: the sent resourceVersion is not the current one."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def bad_request(message: str) -> StatusError:
    """400: the request itself is malformed."""
    return StatusError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str, causes: Iterable[Cause] = ()) -> StatusError:
    """403: refused whatever the credentials say."""
    details = _details(resource, name)
    listed = [{"reason": c.reason, "message": c.message, "field": c.path} for c in causes]
    if listed:
        details["causes"] = listed
    return StatusError(403, "Forbidden", f'{resource.full_name} "{name}" is forbidden: {why}', details)


def invalid(resource: Resource, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: the object breaks a rule of its kind; every cause is named."""
    listed = list(dict.fromkeys(causes))  # a schema and a rule may find the same
    shown = [f"{cause.path}: {cause.message}" for cause in listed]
    text = shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details: dict[str, Any] = {"name": name, "group": resource.group, "kind": resource.kind}
    details = {key: value for key, value in details.items() if value}
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.path} for c in listed]
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details)


def unconditional(resource: Resource, name: str) -> StatusError:
    """422: an update of this kind has to name the version that it is based on."""
    field, text = "metadata.resourceVersion", "Invalid value: 0: must be specified for an update"
    cause = {"reason": "FieldValueInvalid", "message": text, "field": field}
    details = {**_details(resource, name), "causes": [cause]}
    message = f'{resource.full_name} "{name}" is invalid: {field}: {text}'
    return StatusError(422, "Invalid", message, details)


def unfit_patch(patch: str, why: str) -> StatusError:
    """422: what a patch leads to cannot be decoded."""
    text = f'Invalid value: "{patch}": {why}'
    cause = {"reason": "FieldValueInvalid", "message": text, "field": "patch"}
    return StatusError(422, "Invalid", f' "" is invalid: patch: {text}', {"causes": [cause]})


def invalid_options(what: str, field: str, message: str) -> StatusError:
    """422: the parameters of a request, e.g. its ``ListOptions``, are wrong or contradict each other."""
    reasons = {"Unsupported value": "FieldValueNotSupported", "Forbidden": "FieldValueForbidden"}
    reason = reasons.get(message.partition(":")[0], "FieldValueInvalid")
    cause = {"reason": reason, "message": message, "field": field}
    details = {"group": "meta.k8s.io", "kind": what, "causes": [cause]}
    return StatusError(422, "Invalid", f'{what}.meta.k8s.io "" is invalid: {field}: {message}', details)


def expired(message: str) -> StatusError:
    """410: the asked resourceVersion lies before what the server remembers."""
    return StatusError(410, "Expired", message)


def method_not_allowed() -> StatusError:
    """405: the kind is there, the verb is not."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message)


def unsupported_media_type(message: str) -> StatusError:
    """415: a body in a form that is not understood."""
    return StatusError(415, "UnsupportedMediaType", message)
