"""What the operator counts, for ``/metrics``. What alerts go by is there, at zero, from the start."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api import rights
from dask_gpu_k8s.api.resources import DASKWORKERGROUP, POD
from dask_gpu_k8s.operator.engine.actions import Action, Create, Delete, Outcome, Patch, Retire, is_mark
from dask_gpu_k8s.operator.prometheus import Counter, Family, Gauge, Histogram, render

RUN_BUCKETS = (0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0)
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

CREATE, RETIRE, DELETE = "create", "retire", "delete"
"""What scaling does to worker Pods."""


class Metrics:
    """The operator's counters, and a page of them and of some gauges.

    Parameters
    ----------
    kinds : iterable of str
        Kinds that are looked after.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.runs = Counter("dask_operator_reconciles_total", "Runs over a resource.", "kind")
        self.errors = Counter(
            "dask_operator_reconcile_errors_total", "Runs that failed and are tried again.", "kind"
        )
        self.run_seconds = Histogram(
            "dask_operator_reconcile_seconds", "How long a run took.", RUN_BUCKETS, "kind"
        )
        self.actions = Counter(
            "dask_operator_actions_total", "What was done, and how it ended.", "action", "resource", "result"
        )
        self.scaling = Counter(
            "dask_operator_scale_actions_total", "Worker Pods created, retired and deleted.", "action"
        )
        self.calls = Counter(
            "dask_operator_api_calls_total", "Requests to the API server.", "verb", "resource", "code"
        )
        self.call_seconds = Histogram(
            "dask_operator_api_call_seconds", "How long the API server took to answer.", CALL_BUCKETS, "verb"
        )
        self.losses = Counter("dask_operator_lease_losses_total", "How often leadership was lost.")
        self._gauges: list[Gauge] = []
        self._start(kinds)

    def _start(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            self.runs.start(kind)
            self.errors.start(kind)
            self.run_seconds.start(kind)
        for action in (CREATE, RETIRE, DELETE):
            self.scaling.start(action)
        for rule in rights.OPERATOR_RULES:
            for verb in rule.verbs:
                self.call_seconds.start(verb)
                for resource in rule.resources:
                    if not resource.endswith("/finalizers"):
                        self.calls.start(verb, resource, "201" if verb == "create" else "200")

    def show(self, gauges: Iterable[Gauge]) -> None:
        """Put gauges on the page."""
        self._gauges += gauges

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """Count a request to the API server."""
        self.calls.add(verb, resource, code)
        self.call_seconds.add(verb, seconds)

    def ran(self, kind: str, seconds: float, *, failed: bool) -> None:
        """Count a run over a resource."""
        self.runs.add(kind)
        self.run_seconds.add(kind, seconds)
        if failed:
            self.errors.add(kind)

    def acted(self, kind: str, outcomes: Iterable[Outcome]) -> None:
        """Count what was done on behalf of a resource of a kind."""
        for outcome in outcomes:
            action, resource = _name(outcome.action)
            self.actions.add(action, resource, outcome.state)
            scaling = _scaling(outcome.action) if kind == DASKWORKERGROUP.kind else None
            if scaling and outcome.state == "done":
                self.scaling.add(scaling)

    def page(self) -> str:
        """Write all of it for Prometheus."""
        counted: tuple[Family, ...] = (
            self.runs,
            self.errors,
            self.run_seconds,
            self.actions,
            self.scaling,
            self.calls,
            self.call_seconds,
            self.losses,
        )
        return render((*counted, *self._gauges))


def _name(action: Action) -> tuple[str, str]:
    if isinstance(action, Retire):
        return RETIRE, POD.plural
    plural = action.resource.plural
    sub = action.sub if isinstance(action, Patch) else None
    return type(action).__name__.lower(), f"{plural}/{sub}" if sub else plural


def _scaling(action: Action) -> str | None:
    if isinstance(action, Create) and action.resource == POD:
        return CREATE
    if isinstance(action, Delete) and action.resource == POD:
        return DELETE
    return RETIRE if is_mark(action) else None
