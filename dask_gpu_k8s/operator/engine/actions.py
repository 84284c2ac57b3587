"""What a planner can ask for, as data, and what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import POD, SECRET, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import SchedulerAt

Propagation: TypeAlias = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True)
class Create:
    """Create an object. One of that name with the same controlling owner counts as created.

    Attributes
    ----------
    undo : Patch, optional
        What is sent if the API server refuses the object, to take back what was done for it.
    """

    resource: Resource
    body: Manifest
    undo: Patch | None = None

    def __str__(self) -> str:
        return f"create {self.resource.singular} {self.body['metadata']['name']}"


@dataclass(frozen=True)
class Patch:
    """Patch an object.

    Attributes
    ----------
    patch : dict or list of dict
        A merge patch, which with ``metadata.resourceVersion`` in it takes effect only if the object is
        unchanged; or a JSON patch.
    """

    resource: Resource
    namespace: str
    name: str
    patch: Manifest | list[Manifest]
    sub: str | None = None

    def __str__(self) -> str:
        return f"patch {self.resource.singular} {self.name}"


@dataclass(frozen=True)
class Delete:
    """Delete the object with this uid; one that is gone already counts as deleted.

    Attributes
    ----------
    resource_version : str, optional
        Only if the object is unchanged: for a decision that rests on its state.
    grace_seconds : int, optional
        Of a Pod: how long its processes get to end, instead of what it says itself.
    propagation : str, optional
        What becomes of its own dependents, instead of what its kind says.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    resource_version: str | None = None
    grace_seconds: int | None = None
    propagation: Propagation | None = None

    def __str__(self) -> str:
        return f"delete {self.resource.singular} {self.name}"


@dataclass(frozen=True)
class LeavingPod:
    """A worker Pod on its way out and the addresses of all its worker processes.

    Attributes
    ----------
    lost_grace : int, optional
        Seconds to end if it goes without having handed over its data, instead of what it says itself.
    """

    name: str
    uid: str
    addresses: tuple[str, ...]
    lost_grace: int | None = None


@dataclass(frozen=True)
class Retire:
    """Ask the scheduler to move the data off workers, and delete each Pod that is free of it.

    Attributes
    ----------
    scheduler : SchedulerAt
    pods : tuple of LeavingPod
    forced : frozenset of str
        Names of those Pods that go even if nobody can take their data.
    hurried : frozenset of str
        Names of those that no longer wait for the tasks that they are at.
    leaving : frozenset of str
        Addresses of other workers of the cluster that are to go.
    ending : frozenset of str
        Addresses of those whose Pods have been deleted, but which are still registered.
    limit : float
        Seconds after which data that still moves counts as data that nobody can take.
    """

    scheduler: SchedulerAt
    pods: tuple[LeavingPod, ...]
    forced: frozenset[str] = frozenset()
    hurried: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    limit: float = math.inf

    def __str__(self) -> str:
        return f"retire {len(self.pods)} workers of {self.scheduler.cluster}"


@dataclass(frozen=True)
class Issue:
    """Make certificates: in a new Secret, or in place of those that a Secret holds.

    Attributes
    ----------
    secret : Manifest
        The Secret without what it is to hold.
    hosts : tuple of str
        Names of the scheduler, for the certificate.
    held : Manifest, optional
        The Secret as it is; nothing is changed if it has been changed meanwhile.
    """

    secret: Manifest
    hosts: tuple[str, ...]
    held: Manifest | None = None

    @property
    def resource(self) -> Resource:
        """The kind that is written."""
        return SECRET

    def __str__(self) -> str:
        return f"{'renew' if self.held else 'issue'} certificates {self.secret['metadata']['name']}"


Action: TypeAlias = Create | Patch | Delete | Retire | Issue


@dataclass(frozen=True)
class Plan:
    """What to do now.

    Attributes
    ----------
    stages : tuple of tuple of Action
        The actions of a stage run in parallel; a stage begins when all of the one before are done.
    wake_after : float, optional
        Look again after so many seconds even if nothing changes.
    """

    stages: tuple[tuple[Action, ...], ...] = ()
    wake_after: float | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions of all stages."""
        return tuple(action for stage in self.stages for action in stage)


State: TypeAlias = Literal["done", "again", "refused", "failed"]
"""``again``: somebody else was faster. ``refused``: the user must act. ``failed``: try again later."""


@dataclass(frozen=True)
class Outcome:
    """What became of an action.

    Attributes
    ----------
    action : Action
    state : State
    reason : str
        One word for machines, e.g. ``"Forbidden"``; empty if done.
    message : str
        A sentence for people; empty if done.
    kept : tuple of str
        Of a Retire: Pods whose data nobody could take; they remain.
    moving : tuple of str
        Of a Retire: Pods whose data is still on its way.
    lost : tuple of str
        Of a Retire: Pods deleted although nobody could take their data.
    """

    action: Action
    state: State
    reason: str = ""
    message: str = ""
    kept: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """An Event to be written about the resource: a transition, told once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Conclusion:
    """What to say about the resource after acting.

    Attributes
    ----------
    status : dict
        The status fields that the operator sets, in full; others stay as they are.
    notes : tuple of Note
    wake_after : float, optional
        Look again after so many seconds.
    version : str, optional
        The resource's ``resourceVersion`` that this rests on. If it is another one by now, nothing is
        said and the resource is looked at again: so a view from the past never undoes what was said since.
    """

    status: dict[str, Any]
    notes: tuple[Note, ...] = field(default=())
    wake_after: float | None = None
    version: str | None = None


def is_mark(action: Action) -> bool:
    """Say whether an action marks a worker Pod that is to go."""
    if not isinstance(action, Patch) or action.resource != POD or isinstance(action.patch, list):
        return False
    return labels.RETIRE in ((action.patch.get("metadata") or {}).get("annotations") or {})


def patch_of(
    resource: Resource, obj: Manifest, patch: Manifest, sub: str | None = None, *, unchanged: bool = False
) -> Patch:
    """Merge-patch this object; with `unchanged` only if it is as it was seen."""
    meta = obj["metadata"]
    if unchanged:
        version = {"resourceVersion": meta["resourceVersion"]}
        rest = {field: value for field, value in patch.items() if field != "metadata"}
        patch = {"metadata": {**version, **patch.get("metadata", {})}, **rest}
    return Patch(resource, meta["namespace"], meta["name"], patch, sub)


def delete_of(
    resource: Resource,
    obj: Manifest,
    *,
    unchanged: bool = False,
    grace_seconds: int | None = None,
    propagation: Propagation | None = None,
) -> Delete:
    """Delete this object; with `unchanged` only if it is as it was seen."""
    meta = obj["metadata"]
    version = meta["resourceVersion"] if unchanged else None
    return Delete(resource, meta["namespace"], meta["name"], meta["uid"], version, grace_seconds, propagation)


def refusals(outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes that a user must do something about."""
    return [outcome for outcome in outcomes if outcome.state == "refused"]


def soonest(*waits: float | None) -> float | None:
    """Return the shortest of some waits in seconds, or ``None`` if there is none."""
    given = [wait for wait in waits if wait is not None]
    return min(given) if given else None
