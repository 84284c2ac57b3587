"""Views of a DaskCluster, and its life in memory: what is concluded becomes the status of the next view."""

from __future__ import annotations

import copy
import json
from typing import Any

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.merge import merge_patch
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.daskcluster.plan import plan
from dask_gpu_k8s.operator.daskcluster.status import conclude
from dask_gpu_k8s.operator.engine.actions import Action, Conclusion, Create, Outcome, Patch, Plan
from tests.unit.operator.builders import NOW, a_cluster, parts_of


def whole(cluster: dict[str, Any] | None = None, **changes: Any) -> Observed:
    """Return a view of a cluster of which everything is there, save what `changes` says."""
    cluster = cluster or a_cluster(defaultGroupReplicas=2)
    return Observed(freeze(cluster), **{**freeze(parts_of(cluster)), **changes})


def said(plan: Plan) -> list[list[str]]:
    return [[brief(action) for action in stage] for stage in plan.stages]


def brief(action: Any) -> str:
    if isinstance(action, Create):
        return f"create {action.resource.singular} {action.body['metadata']['name']}"
    if isinstance(action, Patch):
        return f"patch {action.name} {action.patch}"
    return f"delete {action.name}"


def thawed(value: Any) -> Any:
    """Return a copy that may be changed, as the API server would send it."""
    return json.loads(json.dumps(value))


class Life:
    """A cluster whose status follows from one view after another."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = a_cluster(defaultGroupReplicas=2)
        self.cluster["spec"]["scheduler"].update(spec)
        self.told: list[str] = []
        self.last = Conclusion({})

    def edit(self, **spec: Any) -> None:
        """Merge something into the spec, as kubectl patch does."""
        self.cluster["spec"] = merge_patch(self.cluster["spec"], spec)
        self.cluster["metadata"]["generation"] += 1

    def pod(self, uid: str = "u-scheduler", *, ready: bool = True, **changes: Any) -> dict[str, Any]:
        """Return the scheduler's Pod as it would be made now."""
        pod = copy.deepcopy(parts_of(self.cluster, ready=ready)["scheduler"])
        pod["metadata"]["uid"] = uid
        pod["metadata"].update(changes.pop("metadata", {}))
        pod["status"].update(changes)
        return pod

    def sees(self, **changes: Any) -> list[Action]:
        """Let one reconcile happen in which all actions succeed; return them."""
        seen = whole(copy.deepcopy(self.cluster), **changes)
        made = plan(seen, NOW)
        for action in made.actions:
            if isinstance(action, Patch) and action.resource == DASKCLUSTER:
                self.cluster["status"] = merge_patch(self.cluster["status"], action.patch["status"])
        concluded = conclude(seen, made, [Outcome(each, "done") for each in made.actions], NOW)
        assert concluded is not None
        self.last = concluded
        self.told += [note.reason for note in concluded.notes]
        self.cluster["status"] = merge_patch(self.cluster["status"], thawed(concluded.status))
        return list(made.actions)

    @property
    def phase(self) -> str:
        return str(self.cluster["status"]["phase"])

    @property
    def restarts(self) -> int:
        return int(self.cluster["status"]["schedulerRestarts"])

    def condition(self, type_: str) -> dict[str, Any]:
        return find(self.cluster["status"]["conditions"], type_) or {}

    def holds(self, type_: str) -> tuple[str, str]:
        found = self.condition(type_)
        return found["status"], found["reason"]
