"""Every case of a secured cluster's certificates: what is there, what is to be done, and what is said."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.security import wanted_secret
from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.daskcluster.certificates import LOOK_AGAIN, READ_BACK, RETRY_UNUSABLE, Certificates
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.daskcluster.plan import plan
from dask_gpu_k8s.operator.daskcluster.status import conclude
from dask_gpu_k8s.operator.engine.actions import Create, Issue, Outcome, Patch
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.security import make_secret, scheduler_hosts, secret_of
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.security.renewal import LIFE, OVERLAP
from dask_gpu_k8s.operator.security.secrets import write_secret
from tests.unit.operator.builders import NOW, a_cluster, a_group, parts_of, stored


def secured(*, renew: str = "", jupyter: bool = False, conditions: Any = (), **spec: Any) -> dict[str, Any]:
    cluster = a_cluster(defaultGroupReplicas=2, conditions=list(conditions))
    cluster["spec"] |= {"security": True, **spec}
    if renew:
        cluster["metadata"]["annotations"] = {labels.RENEW: renew}
    if jupyter:
        cluster["spec"]["scheduler"]["spec"]["containers"][0]["args"].append("--jupyter")
    return cluster


def the_secret(cluster: dict[str, Any], at: datetime = NOW, **data: str) -> dict[str, Any]:
    made = write_secret(Issue(make_secret(cluster), scheduler_hosts(cluster)), at)
    assert isinstance(made, Create)
    secret = stored(made.body, "u-secret")
    return {**secret, "data": {**secret["data"], **data}}


def foreign(secret: dict[str, Any], name: str = "bar") -> dict[str, Any]:
    owners = [{"name": name, "uid": "u-other", "controller": True}]
    return {**secret, "metadata": {**secret["metadata"], "ownerReferences": owners}}


def whole(cluster: dict[str, Any], secret: dict[str, Any] | None, **changes: Any) -> Observed:
    """Return a view of a cluster of which everything is there, its Secret as given."""
    certificates = Certificates(cluster, secret)
    return Observed(freeze(cluster), **{**freeze(parts_of(cluster)), "certificates": certificates, **changes})


def issues(seen: Observed, now: datetime = NOW) -> list[Issue]:
    return [action for action in plan(seen, now).actions if isinstance(action, Issue)]


def secured_of(seen: Observed, now: datetime = NOW, outcomes: Any = ()) -> dict[str, Any]:
    concluded = conclude(seen, plan(seen, now), list(outcomes), now)
    return {**find(concluded.status["conditions"], "Secured"), "notes": [n.reason for n in concluded.notes]}


def test_a_new_cluster_gets_certificates_before_its_pods():
    seen = Observed(freeze(secured()), certificates=Certificates(secured()))
    first, second = plan(seen, NOW).stages[:2]
    assert [str(action) for action in first] == ["issue certificates foo-tls"]
    assert "create pod foo-scheduler" in [str(action) for action in second]


def test_with_certificates_there_is_nothing_to_do_and_nothing_secret_in_the_plan():
    seen = whole(secured(), the_secret(secured()))
    assert plan(seen, NOW).stages == ()
    assert secured_of(seen)["reason"] == "CertificatesIssued"
    assert "data" not in Issue(make_secret(secured()), ()).secret


def test_without_security_nobody_looks_at_certificates():
    cluster = a_cluster(defaultGroupReplicas=2)
    seen = Observed(freeze(cluster), **freeze(parts_of(cluster)))
    concluded = conclude(seen, plan(seen, NOW), [], NOW)
    assert find(concluded.status["conditions"], "Secured") is None


@pytest.mark.parametrize(
    ("later", "renews"),
    [(timedelta(0), 0), (LIFE - timedelta(seconds=1), 0), (LIFE, 1), (LIFE + 2 * OVERLAP, 1)],
)
def test_renewed_when_it_is_due(later, renews):
    found = issues(whole(secured(), the_secret(secured())), NOW + later)
    assert len(found) == renews
    assert all(str(action) == "renew certificates foo-tls" for action in found)


def test_a_renewal_holds_nothing_up():
    cluster = secured()
    seen = whole(cluster, the_secret(cluster), service=None)
    stages = plan(seen, NOW + LIFE).stages
    assert [[str(action) for action in stage] for stage in stages] == [
        ["create service foo-scheduler"],
        ["renew certificates foo-tls"],
    ]


def test_a_renewal_is_refused_if_the_secret_has_changed_meanwhile():
    cluster = secured(renew="now")
    held = the_secret(secured())
    (action,) = issues(whole(cluster, held))
    made = write_secret(action, NOW)
    assert isinstance(made, Patch)
    assert made.patch["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    assert made.patch["metadata"]["annotations"] == {labels.RENEW: "now"}
    assert made.patch["data"]["tls.crt"] == held["data"]["next.crt"]


def test_each_new_wish_renews_once():
    assert issues(whole(secured(renew="1"), the_secret(secured(renew="1")))) == []
    assert len(issues(whole(secured(renew="2"), the_secret(secured(renew="1"))))) == 1
    assert issues(whole(secured(), the_secret(secured(renew="1")))) == []


def test_what_somebody_broke_is_mended():
    cluster = secured()
    broken = the_secret(cluster, **{"tls.key": base64.b64encode(b"no key").decode()})
    seen = whole(cluster, broken)
    assert len(issues(seen)) == 1
    assert secured_of(seen)["reason"] == "CertificatesMissing"


HINDRANCES = {
    "unreadable": (
        Certificates(secured(), unreadable="secrets is forbidden"),
        "SecretUnreadable",
        "Secret 'foo-tls' cannot be read: secrets is forbidden",
    ),
    "taken": (
        Certificates(secured(), foreign(the_secret(secured()))),
        "NameTaken",
        "Secret 'foo-tls' exists and does not belong to this cluster.",
    ),
    "no such secret": (
        Certificates(secured(securitySecret="mine")),
        "SecretNotFound",
        "There is no Secret 'mine' in this namespace.",
    ),
    "a bad secret": (
        Certificates(secured(securitySecret="mine"), {"metadata": {"name": "mine"}, "data": {}}),
        "SecretInvalid",
        "Secret 'mine' cannot be used: its key ca.crt is missing.",
    ),
}


@pytest.mark.parametrize("case", HINDRANCES)
def test_without_usable_certificates_no_pod_is_made_and_the_status_says_why(case):
    certificates, reason, message = HINDRANCES[case]
    seen = Observed(freeze(certificates.cluster), certificates=certificates)
    made = plan(seen, NOW)
    assert made.stages == ()
    assert made.wake_after == RETRY_UNUSABLE
    concluded = conclude(seen, made, [], NOW)
    for type_ in ("Accepted", "Secured"):
        told = find(concluded.status["conditions"], type_)
        assert (told["status"], told["reason"], told["message"]) == ("False", reason, message)
    assert [note.reason for note in concluded.notes] == [reason]


def test_what_a_cluster_of_before_left_is_waited_for():
    leftover = foreign(the_secret(secured()), name="foo")
    (action,) = issues(whole(secured(), leftover))
    assert action.held is None


def test_a_secret_of_the_users_own_is_never_written():
    cluster = secured(securitySecret="mine", renew="now")
    seen = whole(cluster, foreign(the_secret(secured())))
    for later in (timedelta(0), 10 * LIFE):
        assert issues(seen, NOW + later) == []
    assert secured_of(seen)["reason"] == "CertificatesGiven"
    expired = secured_of(seen, NOW + 10 * LIFE)
    assert (expired["status"], expired["reason"]) == ("False", "CertificateExpired")
    assert "CertificateExpired" in expired["notes"]


@pytest.mark.parametrize(
    ("later", "wake"),
    [
        (timedelta(0), LOOK_AGAIN),
        (LIFE - timedelta(hours=1), 3600),
        (LIFE - timedelta(seconds=1), RETRY_UNUSABLE),
        (LIFE, READ_BACK),
    ],
)
def test_when_to_look_again(later, wake):
    assert plan(whole(secured(), the_secret(secured())), NOW + later).wake_after == wake


def test_told_once():
    seen = whole(secured(), the_secret(secured()))
    (renew,) = issues(seen, NOW + LIFE)
    assert secured_of(seen, NOW + LIFE, [Outcome(renew, "done")])["notes"] == [
        "SchedulerReady",
        "CertificatesRenewed",
    ]


def test_a_lost_secret_is_replaced_with_a_warning():
    was = {"type": "Secured", "status": "True", "reason": "CertificatesIssued"}
    seen = whole(secured(conditions=[was]), None)
    (issue,) = issues(seen)
    assert "CertificatesReplaced" in secured_of(seen, NOW, [Outcome(issue, "done")])["notes"]


def test_row_39_a_jupyter_server_is_no_secured_cluster():
    cluster = secured(jupyter=True)
    seen = whole(cluster, the_secret(cluster))
    told = secured_of(seen)
    assert (told["status"], told["reason"]) == ("False", "JupyterOpen")
    assert "JupyterOpen" in told["notes"]
    again = secured(jupyter=True, conditions=[told])
    assert "JupyterOpen" not in secured_of(whole(again, the_secret(cluster)))["notes"]


PLAIN, TLS = a_cluster(defaultGroupReplicas=2), secured()
TCP_ADDRESS, TLS_ADDRESS = "tcp://foo-scheduler.ns.svc:8786", "tls://foo-scheduler.ns.svc:8786"


def edited(asked: dict[str, Any], running: dict[str, Any] | None) -> Observed:
    """Return a view of a cluster whose scheduler was made when it asked for something else."""
    scheduler = running and parts_of(running)["scheduler"]
    certificates = Certificates(asked, the_secret(asked)) if asked["spec"].get("security") else None
    return Observed(
        freeze(asked), **{**freeze(parts_of(asked)), "scheduler": scheduler, "certificates": certificates}
    )


@pytest.mark.parametrize(
    ("asked", "running", "address", "secret"),
    [
        (PLAIN, PLAIN, TCP_ADDRESS, None),
        (PLAIN, None, TCP_ADDRESS, None),
        (PLAIN, TLS, TLS_ADDRESS, "foo-tls"),
        (TLS, TLS, TLS_ADDRESS, "foo-tls"),
        (TLS, None, TLS_ADDRESS, "foo-tls"),
        (TLS, PLAIN, TCP_ADDRESS, None),
        (secured(securitySecret="mine"), TLS, TLS_ADDRESS, "foo-tls"),
    ],
)
def test_everybody_speaks_as_the_running_scheduler_does(asked, running, address, secret):
    seen = edited(asked, running)
    told = conclude(seen, plan(seen, NOW), [], NOW).status
    assert (told["schedulerAddress"], told.get("securitySecret")) == (address, secret)
    worker = make_worker_pod({**asked, "status": told}, a_group(), 0)
    env = {each["name"]: each.get("value") for each in worker["spec"]["containers"][0]["env"]}
    assert env["DASK_SCHEDULER_ADDRESS"] == address
    assert secret_of(worker) == (secret or "")
    assert secret_of(make_scheduler_pod({**asked, "status": told})) == wanted_secret(asked)


@pytest.mark.parametrize(("asked", "running"), [(TLS, PLAIN), (secured(securitySecret="mine"), TLS)])
def test_an_edit_waits_for_the_next_scheduler_and_is_told(asked, running):
    seen = edited(asked, running)
    assert (secured_of(seen)["status"], secured_of(seen)["reason"]) == ("False", "SchedulerOutdated")
    told = conclude(seen, plan(seen, NOW), [], NOW).status
    assert find(told["conditions"], "UpToDate")["reason"] == "SchedulerOutdated"


def test_security_that_is_no_longer_asked_for():
    was = {"type": "Secured", "status": "True", "reason": "CertificatesIssued"}
    plain = a_cluster(defaultGroupReplicas=2, conditions=[was], securitySecret="foo-tls")
    assert secured_of(edited(plain, plain))["reason"] == "NotAsked"
    assert secured_of(edited(plain, TLS))["reason"] == "SchedulerOutdated"
    told = conclude(edited(plain, plain), plan(edited(plain, plain), NOW), [], NOW).status
    assert told["securitySecret"] == ""
