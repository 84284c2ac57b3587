"""The certificates of a secured DaskCluster: what there is of them, what to do, and what to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dask_gpu_k8s.api import labels, security
from dask_gpu_k8s.api.conditions import Said, format_time
from dask_gpu_k8s.api.resources import SECRET
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.errors import Forbidden
from dask_gpu_k8s.operator.engine.actions import Action, Issue, Note
from dask_gpu_k8s.operator.engine.facts import World
from dask_gpu_k8s.operator.objects.security import make_secret, scheduler_hosts
from dask_gpu_k8s.operator.pods import is_owned_by
from dask_gpu_k8s.operator.security.renewal import expiry, flaw, renewal
from dask_gpu_k8s.operator.security.secrets import contents

LOOK_AGAIN = 86400.0
"""Longest time in seconds for which nobody looks at certificates that are good."""

RETRY_UNUSABLE = 30.0
"""Seconds until a Secret that cannot be used is read again; nobody tells when it changes."""

READ_BACK = 1.0
"""Seconds until a Secret that was just written is read."""

TOLD_ONCE = ("JupyterOpen", "CertificateExpired")
"""Reasons of the condition Secured that become an Event; others do elsewhere, or pass by themselves."""


@dataclass(frozen=True)
class Certificates:
    """What there is of a secured cluster's certificates.

    Attributes
    ----------
    cluster : Manifest
    secret : Manifest, optional
        The Secret that is to hold them.
    unreadable : str
        Why it could not be read; empty if it could.
    """

    cluster: Manifest
    secret: Manifest | None = None
    unreadable: str = ""

    @property
    def hindrance(self) -> tuple[str, str] | None:
        """Why no Pod can be made, as a word and a sentence."""
        name = security.secret_name(self.cluster)
        if self.unreadable:
            return "SecretUnreadable", f"Secret {name!r} cannot be read: {self.unreadable}"
        if not security.is_given(self.cluster):
            if self.secret is None or self._is_own or self._is_leftover:
                return None
            return "NameTaken", f"Secret {name!r} exists and does not belong to this cluster."
        if self.secret is None:
            return "SecretNotFound", f"There is no Secret {name!r} in this namespace."
        if self._flaw:
            return "SecretInvalid", f"Secret {name!r} cannot be used: {self._flaw}."
        return None

    def issue(self, now: datetime) -> Issue | None:
        """Return how to bring the Secret up to date, if it is not."""
        if self.hindrance or security.is_given(self.cluster):
            return None
        secret, hosts = make_secret(self.cluster), scheduler_hosts(self.cluster)
        if self.secret is None or not self._is_own:
            return Issue(secret, hosts)
        held = contents(self.secret)
        if self._flaw or now >= renewal(held) or self._is_renewal_asked:
            return Issue(secret, hosts, self.secret)
        return None

    def wake(self, now: datetime) -> float:
        """Return after how many seconds to look again."""
        if self.hindrance:
            return RETRY_UNUSABLE
        if self.secret is None or self.issue(now):
            return READ_BACK
        held = contents(self.secret)
        due = expiry(held) if security.is_given(self.cluster) else renewal(held)
        return min(LOOK_AGAIN, max(RETRY_UNUSABLE, (due - now).total_seconds()))

    def told(self, now: datetime) -> Said:
        """Return the condition Secured."""
        hindrance = self.hindrance
        if hindrance:
            return "False", *hindrance
        if self.secret is None or self._flaw:
            return "False", "CertificatesMissing", "There are no certificates yet."
        held = contents(self.secret)
        end = expiry(held)
        if now >= end:
            return "False", "CertificateExpired", f"The certificate expired on {format_time(end)}."
        if serves_jupyter(self.cluster):
            return (
                "False",
                "JupyterOpen",
                "Scheduler, workers and clients speak TLS, but a Jupyter server on the scheduler lets "
                "everybody who reaches its HTTP port run code.",
            )
        text = f"Scheduler, workers and clients speak TLS; the certificate holds until {format_time(end)}"
        if security.is_given(self.cluster):
            return "True", "CertificatesGiven", f"{text} and is not renewed by the operator."
        return "True", "CertificatesIssued", f"{text} and is renewed from {format_time(renewal(held))}."

    @cached_property
    def _flaw(self) -> str | None:
        """Why nobody can use what the Secret holds; kept, since an RSA key takes 40 ms to check."""
        return flaw(contents(self.secret)) if self.secret else None

    @property
    def _is_own(self) -> bool:
        return self.secret is not None and is_owned_by(self.secret, self.cluster["metadata"]["uid"])

    @property
    def _is_leftover(self) -> bool:
        owners = (self.secret or {}).get("metadata", {}).get("ownerReferences") or ()
        return any(owner.get("name") == self.cluster["metadata"]["name"] for owner in owners)

    @property
    def _is_renewal_asked(self) -> bool:
        wish = (self.cluster["metadata"].get("annotations") or {}).get(labels.RENEW)
        done = ((self.secret or {})["metadata"].get("annotations") or {}).get(labels.RENEW)
        return wish is not None and wish != done


def tell_issue(action: Issue, was_secured: bool) -> Note | None:
    """Return what to say of certificates that were just made."""
    if action.held:
        text = "Renewed the certificates. Running processes keep theirs, and both are trusted."
        return Note("Normal", "CertificatesRenewed", text)
    if not was_secured:
        return None
    return Note(
        "Warning",
        "CertificatesReplaced",
        f"Secret {action.secret['metadata']['name']!r} was gone. There are new certificates, which Pods made "
        "before do not trust: delete those.",
    )


async def observe_certificates(cluster: Manifest, world: World) -> Certificates | None:
    """Look at the certificates of a cluster; ``None`` if it wants none."""
    if not security.is_secure(cluster):
        return None
    try:
        # Not from the cache: the operator may not list Secrets.
        name, namespace = security.secret_name(cluster), cluster["metadata"]["namespace"]
        return Certificates(cluster, await world.live(SECRET, namespace, name))
    except Forbidden as error:
        return Certificates(cluster, unreadable=error.message)


def with_certificates(
    certificates: Certificates | None, stages: list[list[Action]], now: datetime
) -> list[list[Action]]:
    """Add to the stages of a plan what the certificates need.

    New ones come first, because Pods wait for them; others come last, because nobody does.
    """
    issue = certificates.issue(now) if certificates else None
    if issue is None:
        return stages
    return [*stages, [issue]] if issue.held else [[issue], *stages]


def serves_jupyter(cluster: Manifest) -> bool:
    """Say whether the scheduler's command starts a Jupyter server, which asks nobody for anything."""
    return any(
        word == "--jupyter"
        for container in cluster["spec"]["scheduler"]["spec"].get("containers") or ()
        for word in (*(container.get("command") or ()), *(container.get("args") or ()))
    )
