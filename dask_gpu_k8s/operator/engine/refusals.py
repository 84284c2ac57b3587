"""What the API server has refused, and whether asking again makes sense."""

from __future__ import annotations

from collections.abc import Callable

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Outcome
from dask_gpu_k8s.operator.engine.facts import Key

RETRY_REFUSED = 30.0
"""Seconds until something refused is asked again: a quota may have been raised meanwhile."""

INVALID = "Invalid"
"""Reason of a condition that says: what a spec asks for is not valid, by itself or beside what there is."""

NAMESPACE_TERMINATING = "NamespaceTerminating"
"""Reason where there is nothing to be made because the namespace is being deleted, which is no trouble."""


def is_invalid(resource: Manifest) -> bool:
    """Say whether the API server has found invalid what this generation of a spec asks for.

    It may think otherwise the next time: of a port that was taken, or after a policy was mended.
    """
    for condition in (resource.get("status") or {}).get("conditions") or ():
        if condition.get("reason") == INVALID and condition.get("status") == "False":
            return bool(condition.get("observedGeneration") == resource["metadata"].get("generation"))
    return False


def reason_of(refusal: Outcome) -> str:
    """Return why something was refused, in a word; Kubernetes says Forbidden of a full quota, too."""
    return "QuotaExceeded" if "exceeded quota" in refusal.message else refusal.reason


class Refusals:
    """For whom the API server has just refused something, so that it is not asked again at once.

    Without it, each refusal would be written to the status, the new status would be a change, and the
    change would lead to the next refusal. Another generation of the spec is tried at once.

    Parameters
    ----------
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[Key, tuple[object, float]] = {}

    def note(self, key: Key, resource: Manifest) -> None:
        """Note a refusal of what this generation of a resource asks for."""
        self._until[key] = (resource["metadata"].get("generation"), self._clock() + RETRY_REFUSED)

    def remaining(self, key: Key, resource: Manifest) -> float:
        """Return for how many more seconds to ask for nothing; 0 if there is no reason to wait."""
        generation, until = self._until.get(key, (None, 0.0))
        if generation != resource["metadata"].get("generation"):
            return 0.0
        return max(0.0, until - self._clock())

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        self._until.pop(key, None)
