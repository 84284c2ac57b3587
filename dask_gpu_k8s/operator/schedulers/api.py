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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.operator.engine.demand import Demand
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable, WorkerFacts
from dask_gpu_k8s.operator.schedulers.demand import DemandMeter
from dask_gpu_k8s.operator.schedulers.idleness import idle_since
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink

BUSY_STATES = ("executing", "long-running", "ready", "constrained", "waiting", "resumed")
"""States in which a worker counts a task that it has been given to run."""

WORKERS_AT_ONCE, KEYS_AT_ONCE = 10, 10_000
"""Workers and results about which a scheduler is asked with one question."""

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
        self._moves: dict[tuple[str, str], asyncio.Task[frozenset[str]]] = {}
        self._asked: dict[tuple[str, str], float] = {}
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
            Seconds after which data that still moves, or has to wait for others to go, counts as data that no
            other worker can take: a scheduler offers it again and again, also to workers that fail to read
            it, as those without a GPU do with what is on one.

        Raises
        ------
        SchedulerUnreachable
        """
        wanted = frozenset(addresses)
        async with self._locks[scheduler.uid]:
            workers = await self.workers(scheduler)
            before = self._retired.get(scheduler.uid, frozenset())
            # A worker that runs is another one, at the address of one that is gone.
            gone_soon = frozenset(each for each in before & workers.keys() if not workers[each].running)
            self._note_asked(scheduler.uid, wanted, workers)
            if (gone_soon | (workers.keys() & frozenset(ending))) - wanted or not wanted <= workers.keys():
                late = self._late(scheduler.uid, wanted, limit)
                return RetireAnswer(kept=late, moving=wanted - late)
            answer = await self._move(scheduler, wanted, limit)
            safe = await self._safe(scheduler, answer.retired, wanted.union(leaving))
            busy = await self._busy(scheduler, safe)
            self._retired[scheduler.uid] = gone_soon | (safe - busy)
            return RetireAnswer(safe - busy, answer.kept, answer.moving | (answer.retired - safe), busy)

    def forget(self, scheduler_uid: str) -> None:
        """Forget a scheduler that is gone."""
        self._meter.forget(scheduler_uid)
        self._retired.pop(scheduler_uid, None)
        self._asked = {key: since for key, since in self._asked.items() if key[0] != scheduler_uid}
        for key in [key for key in self._moves if key[0] == scheduler_uid]:
            # Of one whose node has vanished nothing would ever be heard.
            self._moves.pop(key).cancel()
        self._last_heard = {key: seen for key, seen in self._last_heard.items() if key[0] != scheduler_uid}
        self._locks.pop(scheduler_uid, None)
        self._link.forget(scheduler_uid)

    async def close(self) -> None:
        """Stop waiting for data that moves."""
        tasks = set(self._moves.values())
        self._moves.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _move(self, scheduler: SchedulerAt, addresses: frozenset[str], limit: float) -> RetireAnswer:
        """Start what has not been started, and wait a while for all of it."""
        keys = {address: (scheduler.uid, address) for address in addresses}
        new = [address for address in sorted(addresses) if keys[address] not in self._moves]
        if new:
            move = asyncio.create_task(self._retire(scheduler, new))
            self._moves.update({keys[address]: move for address in new})
        moves = {address: self._moves[key] for address, key in keys.items()}
        await asyncio.wait(moves.values(), timeout=self._patience)
        ended = {address: move for address, move in moves.items() if move.done()}
        for address, task in ended.items():
            self._moves.pop(keys[address], None)
            if task.cancelled():
                raise SchedulerUnreachable("its Pod is gone")
            # Look at all of them: an exception that nobody has looked at is complained about.
            task.exception()
        retired = frozenset(address for address, task in ended.items() if address in task.result())
        under_way = addresses - frozenset(ended)
        late = self._late(scheduler.uid, under_way, limit)
        return RetireAnswer(retired, frozenset(ended) - retired | late, under_way - late)

    def _note_asked(self, uid: str, wanted: Iterable[str], workers: Mapping[str, WorkerFacts]) -> None:
        """Note since when somebody wants workers to retire, for as long as they are there."""
        now = asyncio.get_running_loop().time()
        asked = {key: since for key, since in self._asked.items() if key[0] != uid or key[1] in workers}
        self._asked = {**{(uid, address): now for address in wanted}, **asked}

    def _late(self, uid: str, addresses: Iterable[str], limit: float) -> frozenset[str]:
        """Return those that have taken longer than that to retire."""
        since = asyncio.get_running_loop().time() - limit
        return frozenset(
            address for address in addresses if self._asked.get((uid, address), math.inf) < since
        )

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
        safe: set[str] = set()
        # A worker may have a million results: what is held here at once has to stay small.
        async with self._link.reach(scheduler) as connection:
            for some in portions(sorted(addresses), WORKERS_AT_ONCE):
                results = await self._link.in_time(connection.call("has_what", workers=some))
                unsafe: set[Any] = set()
                for keys in portions(list({key for held in results.values() for key in held}), KEYS_AT_ONCE):
                    holders = await self._link.in_time(connection.call("who_has", keys=keys))
                    unsafe.update(key for key in keys if leaving.issuperset(holders.get(key, ())))
                safe.update(each for each in some if unsafe.isdisjoint(results.get(each, ())))
        return frozenset(safe)

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


def portions(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Cut a list into pieces of at most that size."""
    return (items[first : first + size] for first in range(0, len(items), size))


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
