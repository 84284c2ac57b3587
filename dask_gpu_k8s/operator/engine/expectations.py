"""What we have done ourselves and the cache has not shown yet.

A group whose cache lags behind our own creates, deletes and marks would be given too many or too few
Pods. So each is noted here before it is sent, and the group is left alone until the cache has shown
all of them. This may be lost: after a restart the first list is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dask_gpu_k8s.api.resources import DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.pods import is_marked, is_terminating

Change: TypeAlias = Literal["create", "delete", "mark"]


@dataclass(frozen=True)
class Expectation:
    """A change that the cache should show soon.

    Attributes
    ----------
    change : str
        ``"create"``, ``"delete"`` or ``"mark"``.
    namespace, name : str
        Of the Pod. Names of worker Pods are never used twice, so they stand for the Pod itself.
    """

    change: Change
    namespace: str
    name: str


class Expectations:
    """Open expectations by the resource on whose behalf something was done.

    Parameters
    ----------
    timeout : float
        Seconds after which the cache is no longer waited for.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._since: dict[Key, dict[Expectation, float]] = {}
        self._keys: dict[Expectation, Key] = {}
        self._trusted: set[Key] = set()
        self._vanished: set[Key] = set()

    def expect(self, key: Key, expectation: Expectation, now: float) -> None:
        """Note a change before it is sent; `now` is monotonic time in seconds."""
        # Of a Pod's deletion one alone need be told: whoever has asked for it last.
        self.drop(expectation)
        self._since.setdefault(key, {})[expectation] = now
        self._keys[expectation] = key

    def drop(self, expectation: Expectation) -> None:
        """Forget a change: it has been shown, or the API server has refused it."""
        key = self._keys.pop(expectation, None)
        if key is None:
            return
        waiting = self._since[key]
        del waiting[expectation]
        if not waiting:
            del self._since[key]

    def doubt(self, expectation: Expectation) -> None:
        """Let a change that may or may not have taken effect be asked about at once."""
        key = self._keys.get(expectation)
        if key is not None:
            self._since[key][expectation] = float("-inf")

    def shown(self, old: Manifest | None, new: Manifest | None) -> None:
        """Take note of a change in the cache."""
        pod = new or old
        if pod is None:
            return
        is_gone = new is None or is_terminating(new)
        meta = pod["metadata"]
        if new is None and not is_terminating(pod) and not self._is_deleted(meta["namespace"], meta["name"]):
            self._vanished |= _groups_of(pod)
        self.drop(Expectation("create", meta["namespace"], meta["name"]))
        if is_gone:
            self.drop(Expectation("delete", meta["namespace"], meta["name"]))
        if is_gone or is_marked(pod):
            self.drop(Expectation("mark", meta["namespace"], meta["name"]))

    def is_trusted(self, key: Key) -> bool:
        """Say whether the cache has been seen to show all Pods of a group: not right after the start."""
        return key in self._trusted

    def has_vanished(self, key: Key) -> bool:
        """Say whether a Pod of a group has left the cache since, though nobody was seen to delete it."""
        return key in self._vanished

    def trust(self, key: Key) -> None:
        """Note that the cache shows all Pods of a group."""
        self._trusted.add(key)
        self._vanished.discard(key)

    def forget(self, key: Key) -> None:
        """Forget a group that is gone."""
        self._trusted.discard(key)
        self._vanished.discard(key)

    def _is_deleted(self, namespace: str, name: str) -> bool:
        return Expectation("delete", namespace, name) in self._keys

    def is_open(self, key: Key) -> bool:
        """Say whether the cache has yet to show something done for `key`."""
        return key in self._since

    def is_overdue(self, key: Key, now: float) -> bool:
        """Say whether it has been too long in showing it."""
        waiting = self._since.get(key)
        return waiting is not None and now - min(waiting.values()) >= self._timeout

    def settle(self, key: Key, live: Iterable[Manifest], now: float) -> None:
        """Keep, from `now` on, only what the API server itself confirms.

        Parameters
        ----------
        key : Key
        live : iterable of Manifest
            The Pods that the API server has now.
        now : float
            Monotonic time in seconds.
        """
        pods = {pod["metadata"]["name"]: pod for pod in live}
        for expectation in list(self._since.get(key, ())):
            if _holds(expectation, pods.get(expectation.name)):
                self._since[key][expectation] = now
            else:
                self.drop(expectation)


def _groups_of(pod: Manifest) -> set[Key]:
    owners = pod["metadata"].get("ownerReferences") or ()
    groups = [owner["name"] for owner in owners if owner["kind"] == DASKWORKERGROUP.kind]
    return {Key(DASKWORKERGROUP.kind, pod["metadata"]["namespace"], name) for name in groups}


def _holds(expectation: Expectation, pod: Manifest | None) -> bool:
    if expectation.change == "create":
        return pod is not None
    if expectation.change == "delete":
        return pod is None or is_terminating(pod)
    return pod is None or is_terminating(pod) or is_marked(pod)
