from __future__ import annotations

import pickle

import pytest

from dask_gpu_k8s import errors
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.kube.errors import NoConfig, Unreachable, api_error


def status(code, reason, message="said the server", **details):
    body = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return api_error(code, body, "get daskclusters default/demo")


CASES = [
    (
        NoConfig("No Kubernetes is configured."),
        errors.NoKubernetes,
        "No Kubernetes is configured. Or run one",
    ),
    (Unreachable("refused"), errors.NoKubernetes, r"demo: the API server does not answer \(refused\)"),
    (status(403, "Forbidden"), errors.NotAllowed, "demo: said the server. Ask for a Role"),
    (
        status(
            403, "Forbidden", 'pods is forbidden: User "ana" cannot watch resource "pods" in API group ""'
        ),
        errors.NotAllowed,
        r'"pods" in API group ""\. Without that right no cluster is made, .*\. Ask for a Role',
    ),
    (status(401, "Unauthorized"), errors.NotAllowed, "demo: said the server. Log in again"),
    (status(404, "NotFound"), errors.CRDsMissing, "demo: this Kubernetes does not know the custom resources"),
    (api_error(404, "404 page not found", "get"), errors.CRDsMissing, "does not know the custom resources"),
    (
        status(404, "NotFound", 'namespaces "x" not found', name="x", kind="namespaces"),
        errors.InvalidArgument,
        'demo: namespaces "x" not found. Create the namespace',
    ),
    (status(422, "Invalid"), errors.InvalidArgument, "demo: said the server"),
    (status(400, "BadRequest", 'unknown field "spec.x"'), errors.InvalidArgument, 'unknown field "spec.x"'),
    (status(500, "InternalError"), errors.DaskClusterError, "the API server answered: said the server"),
]


@pytest.mark.parametrize(("raised", "error", "message"), CASES)
def test_translation(raised, error, message):
    with pytest.raises(error, match=message) as caught, in_plain_words("demo"):
        raise raised
    assert caught.value.__cause__ is raised


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), in_plain_words("demo"):
        raise ZeroDivisionError


def test_an_error_survives_pickling():
    error = errors.VersionMismatch("cannot talk", where="demo", client="1", scheduler="2")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.client, again.scheduler) == (str(error), "1", "2")
    refused = errors.NotAllowed("is refused", where="demo", cure="Ask.")
    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)


def test_an_error_says_what_where_and_what_to_do():
    error = errors.StartFailed(
        "it fails", where="demo", cure="Mend it.", pod="p", reason="r", event="Back-off", log="Traceback"
    )
    assert str(error) == "demo: it fails. Mend it.\nLast event: Back-off\nLast lines of its log:\nTraceback"
    assert (error.what, error.where, error.cure) == ("it fails", "demo", "Mend it.")
    assert (error.pod, error.reason) == ("p", "r")
    assert str(errors.ClusterNotFound("is not there")) == "is not there"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.InvalidType, TypeError),
        (errors.ClusterExists, ValueError),
        (errors.ClusterNotFound, ValueError),
        (errors.NoKubernetes, ConnectionError),
        (errors.NotAllowed, PermissionError),
        (errors.OperatorNotFound, TimeoutError),
        (errors.CloseTimedOut, TimeoutError),
    ],
)
def test_what_upstreams_users_catch_still_catches(error, builtin):
    assert issubclass(error, builtin)
    assert str(error("is wrong", where="here", cure="Mend it.")) == "here: is wrong. Mend it."
