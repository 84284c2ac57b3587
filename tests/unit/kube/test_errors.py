from __future__ import annotations

import pytest

from dask_gpu_k8s.kube import errors


@pytest.mark.parametrize(
    ("status", "reason", "leaf"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Gone", errors.Gone),
        (410, "Expired", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (503, "ServiceUnavailable", errors.ServerError),
        (418, "Teapot", errors.ApiError),
    ],
)
def test_the_leaf_is_chosen_by_reason_then_status(status, reason, leaf):
    body = {"kind": "Status", "reason": reason, "message": "words", "details": {"name": "x"}}
    error = errors.api_error(status, body, "get pods a/x")
    assert type(error) is leaf
    assert (error.status, error.reason, error.message) == (status, reason, "words")
    assert error.details == {"name": "x"}
    assert str(error) == f"get pods a/x: words ({status} {reason})"


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", None, [], {"kind": "Pod"}])
def test_an_answer_that_is_no_status_still_gives_an_error(body):
    error = errors.api_error(502, body, "get pods")
    assert type(error) is errors.ServerError
    assert error.reason == ""
    assert "502" in str(error)


def test_reason_goes_before_status():
    body = {"kind": "Status", "reason": "NotFound", "message": ""}
    assert type(errors.api_error(500, body, "x")) is errors.NotFound
