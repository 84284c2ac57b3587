"""What the operator asks of Dask schedulers: which workers there are, and to move data off some.

A retired worker stays registered, with its results, until its Pod has ended (see `SchedulerApi.retire`),
and to a scheduler a copy there is as good as any other. Two things follow (seen in 2025.2.0 and 2026.8.0):

- If two workers retire that both have a copy of a result, each may be found free of it because of the
  other. So the answer is not believed: before a worker goes, each of its results must be found on a
  worker that stays.
- If a worker retires while one that retired before it is still registered, its copies may be dropped in
  favour of those that are about to vanish. So a retirement begins only when all who retired before are
  gone.

Nor does a scheduler wait for the tasks that a retiring worker is at (it gives it no more): were the worker to
go, they would be begun again elsewhere. So it is said apart who is still at work.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.operator.engine.demand import Demand
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable, WorkerFacts
from dask_gpu_k8s.operator.schedulers.demand import DemandMeter
from dask_gpu_k8s.operator.schedulers.idleness import idle_since
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink

BUSY_STATES = ("executing", "long-running", "ready", "constrained", "waiting", "resumed")
"""States in which a worker counts a task that it has been given to run."""

RUNNING_STATES = ("executing", "long-running")
"""Those of them in which it runs."""


@dataclass(frozen=True)
class RetireAnswer:
    """What became of workers that were asked to retire, by address.

    Attributes
    ----------
    retired : frozenset of str
        Each of their results is on a worker that stays, and they take no more tasks.
    kept : frozenset of str
        They have results that no other worker can take.
    moving : frozenset of str
        It is not over: ask again.
    busy : frozenset of str
        Like retired ones, but they are still at tasks whose results will have to move as well.
    """

    retired: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    moving: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Move:
    """A retirement that a scheduler was asked for, and when."""

    task: asyncio.Task[frozenset[str]]
    begun: float


class SchedulerApi:
    """Speaks to the schedulers of all clusters, connecting anew for each question.

    Parameters
    ----------
    link : SchedulerLink
    patience : float
        Seconds to wait for data to move. It goes on moving beyond them; ask again to learn of its end.
    """

    def __init__(self, link: SchedulerLink, *, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._meter = DemandMeter(link)
        self._moves: dict[tuple[str, str], _Move] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._retired: dict[str, frozenset[str]] = {}
        self._last_heard: dict[tuple[str, str], float] = {}

    async def workers(self, scheduler: SchedulerAt) -> Mapping[str, WorkerFacts]:
        """Ask for the workers, by address.

        Raises
        ------
        SchedulerUnreachable
        """
        answer = await self._ask(scheduler, "identity")
        try:
            return {address: _facts(worker) for address, worker in answer["workers"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SchedulerUnreachable(f"it answered what is not understood ({error!r})") from error

    async def idle_since(self, scheduler: SchedulerAt, *, clients: bool, data: bool) -> float | None:
        """Ask since when there is no work; see `idleness.idle_since`.

        Raises
        ------
        SchedulerUnreachable
        """
        async with self._link.reach(scheduler) as connection:
            return await self._link.in_time(idle_since(connection, clients=clients, data=data))

    async def demand(self, scheduler: SchedulerAt) -> Demand:
        """Ask how much work there is, and for whom.

        Raises
        ------
        SchedulerUnreachable
        """
        return await self._meter.ask(scheduler)

    async def retire(
        self,
        scheduler: SchedulerAt,
        addresses: Iterable[str],
        *,
        leaving: Iterable[str] = (),
        ending: Iterable[str] = (),
        limit: float = math.inf,
    ) -> RetireAnswer:
        """Have data moved off workers, which stay but take no more tasks. It can be asked again.

        Parameters
        ----------
        scheduler : SchedulerAt
        addresses : iterable of str
            The workers to retire: all at once that are to go.
        leaving : iterable of str
            Others that are to go as well, so that data on them is not safe either.
        ending : iterable of str
            Others whose Pods have been deleted; while one is still registered, nothing is done.
        limit : float, optional
            Seconds after which data that still moves counts as data that no other worker can take: a
            scheduler offers it again and again, also to workers that fail to read it, as those without a
            GPU do with what is on one.

        Raises
        ------
        SchedulerUnreachable
        """
        wanted = frozenset(addresses)
        async with self._locks[scheduler.uid]:
            registered = frozenset(await self.workers(scheduler))
            gone_soon = registered & (self._retired.get(scheduler.uid, frozenset()) | frozenset(ending))
            if gone_soon - wanted or not wanted <= registered:
                return RetireAnswer(moving=wanted)
            answer = await self._move(scheduler, wanted, limit)
            safe = await self._safe(scheduler, answer.retired, wanted.union(leaving))
            busy = await self._busy(scheduler, safe)
            self._retired[scheduler.uid] = gone_soon | (safe - busy)
            return RetireAnswer(safe - busy, answer.kept, answer.moving | (answer.retired - safe), busy)

    def forget(self, scheduler_uid: str) -> None:
        """Forget a scheduler that is gone."""
        self._meter.forget(scheduler_uid)
        self._retired.pop(scheduler_uid, None)
        self._last_heard = {key: seen for key, seen in self._last_heard.items() if key[0] != scheduler_uid}
        self._locks.pop(scheduler_uid, None)
        self._link.forget(scheduler_uid)

    async def close(self) -> None:
        """Stop waiting for data that moves."""
        tasks = {move.task for move in self._moves.values()}
        self._moves.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _move(self, scheduler: SchedulerAt, addresses: frozenset[str], limit: float) -> RetireAnswer:
        """Start what has not been started, and wait a while for all of it."""
        clock = asyncio.get_running_loop().time
        keys = {address: (scheduler.uid, address) for address in addresses}
        new = [address for address in sorted(addresses) if keys[address] not in self._moves]
        if new:
            move = _Move(asyncio.create_task(self._retire(scheduler, new)), clock())
            self._moves.update({keys[address]: move for address in new})
        await asyncio.wait({self._moves[key].task for key in keys.values()}, timeout=self._patience)
        moves = {address: self._moves[key] for address, key in keys.items()}
        ended = {address: move.task for address, move in moves.items() if move.task.done()}
        for address, task in ended.items():
            del self._moves[keys[address]]
            # Look at all of them: an exception that nobody has looked at is complained about.
            task.exception()
        retired = frozenset(address for address, task in ended.items() if address in task.result())
        under_way = addresses - frozenset(ended)
        late = frozenset(address for address in under_way if clock() - moves[address].begun > limit)
        return RetireAnswer(retired, frozenset(ended) - retired | late, under_way - late)

    async def _retire(self, scheduler: SchedulerAt, addresses: list[str]) -> frozenset[str]:
        async with self._link.reach(scheduler) as connection:
            # remove=True would end the processes, which the kubelet then starts again under the same name.
            answer = await connection.call(
                "retire_workers", workers=addresses, remove=False, close_workers=False
            )
        return frozenset(answer or ())

    async def _safe(
        self, scheduler: SchedulerAt, addresses: frozenset[str], leaving: frozenset[str]
    ) -> frozenset[str]:
        """Return those of the workers each of whose results is also on a worker that stays."""
        if not addresses:
            return addresses
        results = await self._ask(scheduler, "has_what", workers=sorted(addresses))
        held = {key for keys in results.values() for key in keys}
        holders = await self._ask(scheduler, "who_has", keys=list(held)) if held else {}
        stay = {key for key, workers in holders.items() if not leaving.issuperset(workers)}
        return frozenset(address for address in addresses if stay.issuperset(results.get(address, ())))

    async def _busy(self, scheduler: SchedulerAt, addresses: frozenset[str]) -> frozenset[str]:
        """Return those of the retired workers that still run a task.

        What a scheduler has given to a worker may be running or queued there, and a retired worker begins
        nothing any more. Which it is, only the worker knows: it says so with its next heartbeat.
        """
        if not addresses:
            return addresses
        given = await self._ask(scheduler, "processing", workers=sorted(addresses))
        suspects = {address for address in addresses if given.get(address)}
        facts = await self.workers(scheduler) if suspects else {}
        return frozenset(
            address
            for address in suspects & set(facts)
            if facts[address].executing or not self._has_spoken(scheduler.uid, address, facts[address])
        )

    def _has_spoken(self, scheduler_uid: str, address: str, worker: WorkerFacts) -> bool:
        """Say whether a worker was heard of since it was first asked about."""
        first = self._last_heard.setdefault((scheduler_uid, address), worker.last_seen)
        return worker.last_seen > first

    async def _ask(self, scheduler: SchedulerAt, op: str, **arguments: Any) -> Any:
        async with self._link.reach(scheduler) as connection:
            return await self._link.in_time(connection.call(op, **arguments))


def _facts(worker: Mapping[str, Any]) -> WorkerFacts:
    metrics = worker.get("metrics") or {}
    counts = metrics.get("task_counts") or {}
    return WorkerFacts(
        name=str(worker["name"]),
        host=str(worker["host"]),
        nbytes=int(metrics.get("managed_bytes") or 0),
        tasks=sum(int(counts.get(state) or 0) for state in BUSY_STATES),
        running=worker.get("status") == "running",
        executing=sum(int(counts.get(state) or 0) for state in RUNNING_STATES),
        last_seen=float(worker.get("last_seen") or 0.0),
    )
