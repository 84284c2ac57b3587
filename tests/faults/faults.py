"""What may go wrong, each once in a run: at one call of the operator, before or after it takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import LEASE, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.errors import ApiError, Unreachable, api_error
from dask_gpu_k8s.operator.schedulers.wire import WireError
from tests.faults.calls import Call
from tests.faults.user import NAMESPACE

SILENCE = 65.0
"""Seconds until a client gives up on an answer."""

Act: TypeAlias = Callable[[Any, Any, Call], Awaitable[None]]
"""``(run, process, call)``: strikes; what it raises is the answer to the call."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes
    ----------
    name : str
    act : callable
    fits : callable
        Which calls it can strike.
    after : bool
        Whether it may also strike after a write has taken effect. After a read that is the same as before.
    """

    name: str
    act: Act
    fits: Callable[[Call], bool] = lambda call: True
    after: bool = True

    def whens(self, call: Call) -> tuple[str, ...]:
        """Return whether it strikes before the call takes effect, after that, or both."""
        if not self.fits(call):
            return ()
        return ("before", "after") if self.after and call.is_write else ("before",)


FAULTS: dict[str, Fault] = {}


def _fault(
    name: str, *, fits: Callable[[Call], bool] = lambda call: True, after: bool = True
) -> Callable[[Act], Act]:
    def note(act: Act) -> Act:
        FAULTS[name] = Fault(name, act, fits, after)
        return act

    return note


def _is_api(call: Call) -> bool:
    return call.method != "RPC"


def _refusal(code: int, reason: str, call: Call, message: str = "injected", **details: Any) -> ApiError:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
    return api_error(code, body, call.what)


# The answer ------------------------------------------------------------------------------------------


@_fault("409", fits=_is_api)
async def _conflict(run: Any, process: Any, call: Call) -> None:
    raise _refusal(409, "AlreadyExists" if call.method == "POST" else "Conflict", call)


@_fault("429", fits=_is_api, after=False)
async def _busy(run: Any, process: Any, call: Call) -> None:
    raise _refusal(429, "TooManyRequests", call, retryAfterSeconds=1)


@_fault("429-without-a-time", fits=_is_api, after=False)
async def _just_busy(run: Any, process: Any, call: Call) -> None:
    raise _refusal(429, "TooManyRequests", call)


@_fault("500")
async def _error(run: Any, process: Any, call: Call) -> None:
    if call.method == "RPC":
        raise WireError("injected")
    raise _refusal(500, "InternalError", call)


@_fault("time-out")
async def _silence(run: Any, process: Any, call: Call) -> None:
    run.laws.lag += SILENCE
    await asyncio.sleep(SILENCE)
    await _reset(run, process, call)


@_fault("reset")
async def _reset(run: Any, process: Any, call: Call) -> None:
    if call.method == "RPC":
        raise EOFError("injected")
    raise Unreachable(f"{call.what}: injected")


@_fault("slow")
async def _slow(run: Any, process: Any, call: Call) -> None:
    run.laws.lag += 3.0
    await asyncio.sleep(3.0)


# The watches -----------------------------------------------------------------------------------------


@_fault("watch-dropped")
async def _drop(run: Any, process: Any, call: Call) -> None:
    run.server.weather.cut()


@_fault("410")
async def _gone(run: Any, process: Any, call: Call) -> None:
    run.server.weather.cut(gone=True)


@_fault("events-twice", after=False)
async def _twice(run: Any, process: Any, call: Call) -> None:
    weather = run.server.weather
    weather.copies = 2

    def stop() -> None:
        weather.copies = 1

    run.later(3.0, stop)


@_fault("events-again", after=False)
async def _again(run: Any, process: Any, call: Call) -> None:
    weather = run.server.weather
    weather.held = []

    def replay() -> None:
        seen, weather.held = weather.held, None
        for stream, line in seen:
            stream.send(line)

    run.later(1.0, replay)


def _late(run: Any, seconds: float, lasts: float, *plurals: str) -> None:
    weather = run.server.weather
    weather.late.update(dict.fromkeys(plurals, seconds))
    run.later(lasts, weather.late.clear)
    run.laws.lag += seconds


@_fault("events-of-pods-last", after=False)
async def _pods_last(run: Any, process: Any, call: Call) -> None:
    _late(run, 1.5, 5.0, "pods")


@_fault("events-of-pods-first", after=False)
async def _pods_first(run: Any, process: Any, call: Call) -> None:
    _late(run, 1.5, 5.0, "")
    run.server.weather.late["pods"] = 0.0


@_fault("events-in-another-order", after=False)
async def _shuffled(run: Any, process: Any, call: Call) -> None:
    run.server.weather.shuffle(1.0)
    run.laws.lag += 1.0


@_fault("events-lost")
async def _lost(run: Any, process: Any, call: Call) -> None:
    run.server.weather.cut()
    run.laws.lag += 10.0

    def refuse(other: Call) -> ApiError | None:
        return _refusal(503, "ServiceUnavailable", other) if other.method == "WATCH" else None

    def forget() -> None:
        run.refusals.remove(refuse)
        run.server.weather.oldest = run.api.store.version

    run.refusals.append(refuse)
    run.later(3.0, forget)


@_fault("lagging", after=False)
async def _lagging(run: Any, process: Any, call: Call) -> None:
    _late(run, 4.0, 30.0, "")


@_fault("lagging-long", after=False)
async def _lagging_long(run: Any, process: Any, call: Call) -> None:
    _late(run, 15.0, 60.0, "")


# The operator ----------------------------------------------------------------------------------------


@_fault("kill")
async def _kill(run: Any, process: Any, call: Call) -> None:
    await run.kill(process)


@_fault("kill-and-the-past")
async def _kill_and_past(run: Any, process: Any, call: Call) -> None:
    """The next operator is served by an API server that lags behind."""
    run.server.weather.past = run.version_ago(0.2)
    _late(run, 4.0, 20.0, "")
    run.later(20.0, run.server.weather.catch_up)
    await run.kill(process)


@_fault("two-operators", after=False)
async def _two(run: Any, process: Any, call: Call) -> None:
    run.laws.strict = False
    run.start()
    run.later(20.0, lambda: run.stop(process))


# What is around it -----------------------------------------------------------------------------------


def _refuse(run: Any, seconds: float, refusal: Callable[[Call], ApiError | None]) -> None:
    run.refusals.append(refusal)
    run.later(seconds, lambda: run.refusals.remove(refusal))
    run.laws.lag += seconds


@_fault("forbidden-for-minutes", fits=_is_api, after=False)
async def _forbidden(run: Any, process: Any, call: Call) -> None:
    _refuse(run, 180.0, lambda other: _refusal(403, "Forbidden", other) if _is_api(other) else None)


@_fault("writes-forbidden-for-minutes", fits=_is_api, after=False)
async def _read_only(run: Any, process: Any, call: Call) -> None:
    def refuse(other: Call) -> ApiError | None:
        return _refusal(403, "Forbidden", other) if _is_api(other) and other.is_write else None

    _refuse(run, 180.0, refuse)


@_fault("quota-exhausted", fits=_is_api, after=False)
async def _quota(run: Any, process: Any, call: Call) -> None:
    def refuse(other: Call) -> ApiError | None:
        is_pod = other.method == "POST" and " pods " in f" {other.what} "
        message = "exceeded quota: gpus, requested: 1, used: 4, limited: 4"
        return _refusal(403, "Forbidden", other, message) if is_pod else None

    _refuse(run, 100.0, refuse)


def _a_worker(run: Any, phase: str = "") -> Manifest | None:
    """Return the first worker, in a phase; where there is none, nothing is struck."""
    for pod in run.api.list(POD, NAMESPACE):
        if pod["spec"]["containers"][0]["name"] == "worker" and phase in ("", pod["status"]["phase"]):
            return dict(pod)
    run.record.struck = False
    return None


def _strip(run: Any, patch: Callable[[Manifest], Manifest]) -> None:
    """Take something off the first worker."""
    pod = _a_worker(run)
    if pod:
        run.api.patch(POD, NAMESPACE, pod["metadata"]["name"], {"metadata": patch(pod)})


@_fault("owner-stripped", after=False)
async def _no_owner(run: Any, process: Any, call: Call) -> None:
    _strip(run, lambda pod: {"ownerReferences": None})


def _label(key: str) -> Act:
    async def strip(run: Any, process: Any, call: Call) -> None:
        _strip(run, lambda pod: {"labels": {key: None}})

    return strip


for _key in (labels.CLUSTER_NAME, labels.WORKERGROUP_NAME, labels.COMPONENT):
    _fault(f"label-{_key.partition('/')[2]}-stripped", after=False)(_label(_key))


@_fault("worker-deleted", after=False)
async def _deleted(run: Any, process: Any, call: Call) -> None:
    if pod := _a_worker(run):
        run.may_lose = True
        run.api.delete(POD, NAMESPACE, pod["metadata"]["name"])


@_fault("worker-failed", after=False)
async def _failed(run: Any, process: Any, call: Call) -> None:
    if pod := _a_worker(run, "Running"):
        run.may_lose = True
        run.kubelet.end_by_itself(pod, 137)


@_fault("lease-corrupted", after=False)
async def _corrupted(run: Any, process: Any, call: Call) -> None:
    """Somebody writes into the Lease what no leader would."""
    leases = run.api.list(LEASE, NAMESPACE)
    run.record.struck = bool(leases)
    for lease in leases:
        spec = {"holderIdentity": "nobody", "leaseDurationSeconds": 1, "renewTime": None}
        run.api.patch(LEASE, NAMESPACE, lease["metadata"]["name"], {"spec": spec})
    run.laws.lag += 30.0


@_fault("lease-deleted", after=False)
async def _lease_deleted(run: Any, process: Any, call: Call) -> None:
    leases = run.api.list(LEASE, NAMESPACE)
    run.record.struck = bool(leases)
    for lease in leases:
        run.api.delete(LEASE, NAMESPACE, lease["metadata"]["name"])
    run.laws.lag += 30.0
