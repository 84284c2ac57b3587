"""What can go wrong between us and a Kubernetes API server.

::

    KubeError
    ├── NoConfig            no kubeconfig and no service account
    ├── Unreachable         no answer: refused, reset, timed out, TLS
    │   └── NoSuchProtocol  it answers, but speaks none of those that a stream needs
    └── ApiError            the server answered with a Status
        ├── BadRequest      400
        ├── Unauthorized    401
        ├── Forbidden       403
        ├── NotFound        404
        ├── AlreadyExists   409, reason AlreadyExists
        ├── Conflict        409
        ├── Gone            410
        ├── Invalid         422
        ├── TooManyRequests 429
        └── ServerError     5xx
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Anything that went wrong on the way to Kubernetes or there."""


class NoConfig(KubeError):
    """Neither a kubeconfig nor a service account was found."""


class Unreachable(KubeError):
    """The API server did not answer."""


class NoSuchProtocol(Unreachable):
    """The API server, or a proxy before it, speaks none of the protocols that a stream needs."""


class ApiError(KubeError):
    """The API server answered with an error.

    Attributes
    ----------
    status : int
        HTTP status.
    reason : str
        Machine-readable reason of the Status object, e.g. ``"NotFound"``.
    message : str
        The server's own words.
    details : dict
        ``details`` of the Status object; empty if it had none.
    request : str
        What was asked, e.g. ``"patch daskclusters/status default/demo"``.
    """

    def __init__(
        self, status: int, reason: str, message: str, details: Mapping[str, Any], request: str
    ) -> None:
        super().__init__(f"{request}: {message} ({status} {reason})")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = dict(details)
        self.request = request


class BadRequest(ApiError):
    """The request itself is malformed (400)."""


class Unauthorized(ApiError):
    """The credentials are missing, wrong or expired (401)."""


class Forbidden(ApiError):
    """The credentials do not allow this (403)."""


class NotFound(ApiError):
    """No such object, or no such kind (404)."""


class AlreadyExists(ApiError):
    """An object of that name is there already (409)."""


class Conflict(ApiError):
    """The object changed meanwhile, or a precondition did not hold (409)."""


class Gone(ApiError):
    """The asked resourceVersion is too old (410)."""


class Invalid(ApiError):
    """The object breaks its schema (422)."""


class TooManyRequests(ApiError):
    """The server asks us to slow down (429)."""


class ServerError(ApiError):
    """The server failed (5xx)."""


_BY_REASON: dict[str, type[ApiError]] = {
    "BadRequest": BadRequest,
    "Unauthorized": Unauthorized,
    "Forbidden": Forbidden,
    "NotFound": NotFound,
    "AlreadyExists": AlreadyExists,
    "Conflict": Conflict,
    "Gone": Gone,
    "Expired": Gone,
    "Invalid": Invalid,
    "TooManyRequests": TooManyRequests,
}

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def api_error(status: int, body: object, request: str) -> ApiError:
    """Choose the error for an answer: by the Status object's reason, else by the HTTP status.

    Parameters
    ----------
    status : int
        HTTP status, or the ``code`` of a Status event in a watch.
    body : object
        The decoded answer: a ``Status`` object, or anything a proxy in between may have sent.
    request : str
        What was asked, for the message.
    """
    answer = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    reason = answer.get("reason") or ""
    message = answer.get("message") or (body if isinstance(body, str) else "") or "no message"
    leaf = _BY_REASON.get(reason) or _BY_STATUS.get(status) or (ServerError if status >= 500 else ApiError)
    return leaf(status, reason, str(message)[:2000], answer.get("details") or {}, request)
