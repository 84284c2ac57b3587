"""What must hold at every moment of a run, whatever goes wrong."""

from __future__ import annotations

from collections import defaultdict, deque

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.machinery.store import Change, Table
from dask_gpu_k8s.operator.autoscalers import as_wanted, server_of
from dask_gpu_k8s.operator.objects.workers import replicas_of
from tests.faults import clock

GROUPS = ("kubernetes.dask.org", "daskworkergroups")
AUTOSCALERS = ("kubernetes.dask.org", "daskautoscalers")


class Laws:
    """Watches every change of an API server.

    Attributes
    ----------
    broken : list of str
        What did not hold.
    lag : float
        For how many seconds a correct operator may act on what was asked of a group before.
    """

    def __init__(self, api: Api) -> None:
        self.broken: list[str] = []
        self.lag = 5.0
        self.strict = True
        self._api = api
        self._made: set[str] = set()
        self._asked: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        api.store.listen(self._note)

    def _note(self, table: Table, change: Change) -> None:
        obj = change.new.obj
        if table == GROUPS and change.type == "DELETED":
            self._asked[obj["metadata"]["uid"]].append((clock.now(), 0))
        elif table in (GROUPS, AUTOSCALERS):
            self._note_asked()
        elif table == ("", "pods") and change.type == "ADDED" and _is_worker(obj):
            self._check_name(obj)
            self._check_count(obj)

    def _note_asked(self) -> None:
        """Note what is asked of each group: what the autoscaler that serves it has decided, else its own.

        The decision is one write and its copy in the group another, and nobody can do both at once: who is
        started between the two makes what was decided. A number that somebody else writes asks for nothing.
        """
        autoscalers = [entry.obj for _, entry in self._api.store.entries(AUTOSCALERS)]
        for _, entry in self._api.store.entries(GROUPS):
            asked = replicas_of(as_wanted(entry.obj, server_of(entry.obj, autoscalers)))
            self._asked[entry.obj["metadata"]["uid"]].append((clock.now(), asked))

    def _check_name(self, pod: Manifest) -> None:
        name = pod["metadata"]["name"]
        if name in self._made:
            self.broken.append(f"{name} was made twice")
        self._made.add(name)

    def _check_count(self, pod: Manifest) -> None:
        """A Pod more than anybody has asked for lately is one too many, even for a moment."""
        owner = pod["metadata"]["ownerReferences"][0]["uid"]
        pods = [entry.obj for _, entry in self._api.store.entries(("", "pods"))]
        count = sum(_counts(each, owner) for each in pods)
        most = self._most_asked(owner)
        if self.strict and count > most:
            self.broken.append(f"{count} workers at once, where at most {most} were asked for")

    def _most_asked(self, uid: str) -> int:
        history = self._asked[uid]
        while len(history) > 1 and history[1][0] < clock.now() - self.lag:
            history.popleft()
        return max((asked for _, asked in history), default=0)


def _is_worker(pod: Manifest) -> bool:
    return pod["spec"]["containers"][0]["name"] == "worker"


def _counts(pod: Manifest, owner: str) -> bool:
    meta = pod["metadata"]
    return (
        any(reference["uid"] == owner for reference in meta.get("ownerReferences") or ())
        and "deletionTimestamp" not in meta
        and labels.RETIRE not in (meta.get("annotations") or {})
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )
