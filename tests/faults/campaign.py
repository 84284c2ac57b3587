"""Every fault at every call of every script.

A script is played once more; at each call this process is copied for each fault that fits, and the copy
goes on with it. So what comes before a fault is the same for all, and is done only once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.calls import Call
from tests.faults.faults import FAULTS
from tests.faults.run import Record, play
from tests.faults.scripts import SCRIPTS
from tests.faults.state import difference

LONGEST = 120
"""Seconds, of a real clock, after which a copy has gone astray."""


@dataclass(frozen=True)
class Injection:
    """A fault and where it strikes.

    Attributes
    ----------
    script : str
    number : int
        Of the call, from 0 in the order of the fault-free run.
    fault : str
    when : str
        ``"before"`` or ``"after"`` the call takes effect.
    """

    script: str
    number: int
    fault: str
    when: str

    @classmethod
    def parse(cls, text: str) -> Injection:
        """Read ``script:call:fault:when``."""
        script, number, fault, when = text.split(":")
        return cls(script, int(number), fault, when)

    def __str__(self) -> str:
        return f"{self.script}:{self.number}:{self.fault}:{self.when}"

    def strikes(self, number: int, call: Call) -> tuple[Any, Any]:
        """Return what strikes before and after a call."""
        if number != self.number:
            return None, None
        act = FAULTS[self.fault].act
        return (act, None) if self.when == "before" else (None, act)


@dataclass(frozen=True)
class Verdict:
    """What came of a run into which a fault was injected.

    Attributes
    ----------
    injection, call : str
    struck : bool
        Whether there was something to strike.
    wrong : tuple of str
        What was wrong in the end; empty if it converged.
    """

    injection: str
    call: str
    struck: bool
    wrong: tuple[str, ...]


class Campaign:
    """The fault-free run of a script, and all that can go wrong in it."""

    def __init__(self, script: str) -> None:
        self.script = script
        self._play: Callable[..., Record] = lambda *args: play(SCRIPTS[script], *args)
        self.reference = self._play()
        if self.reference.broken or not self.reference.converged:
            raise AssertionError(f"{script} does not work even without a fault: {self.reference.broken}")
        calls = enumerate(self.reference.calls)
        writes = [number for number, call in calls if call.is_write and not call.is_kept_out]
        self.calls = self.reference.calls[: max(writes) + 1]
        """The calls of the fault-free run, to the last one that wrote."""

    def injections(self, number: int) -> Iterator[Injection]:
        """Yield all faults at a call."""
        for name, fault in FAULTS.items():
            for when in fault.whens(self.calls[number]):
                yield Injection(self.script, number, name, when)

    def judge(self, injection: Injection) -> Verdict:
        """Play the script with a fault."""
        return self._verdict(injection, self._play(injection.strikes, self.reference.state))

    def judge_all(self, jobs: int, chosen: Callable[[Injection], bool]) -> list[Verdict]:
        """Play the script with each of the chosen faults, `jobs` at a time."""
        with tempfile.NamedTemporaryFile() as file:
            copies = _Copies(self, jobs, chosen, file.name)
            record = self._play(copies.strikes, self.reference.state)
            if copies.injection:
                copies.leave(self._verdict(copies.injection, record))
            copies.wait_for_all()
            verdicts = [Verdict(*json.loads(line)) for line in file.read().decode().splitlines()]
        return [*verdicts, *copies.astray]

    def _verdict(self, injection: Injection, record: Record) -> Verdict:
        wrong = list(dict.fromkeys(record.broken))
        if record.state != self.reference.state:
            wrong.append("another state:\n" + difference(self.reference.state, record.state))
        elif not record.converged:
            wrong.append("it does not come to rest:\n" + "\n".join(record.writes[-8:]))
        return Verdict(str(injection), str(self.calls[injection.number]), record.struck, tuple(wrong))


class _Copies:
    """Copies of this process, each of which goes on with a fault.

    Attributes
    ----------
    injection : Injection or None
        The fault of this process, if it is a copy.
    astray : list of Verdict
        On those that came to no end.
    """

    def __init__(
        self, campaign: Campaign, jobs: int, chosen: Callable[[Injection], bool], results: str
    ) -> None:
        self.injection: Injection | None = None
        self.astray: list[Verdict] = []
        self._campaign = campaign
        self._jobs = jobs
        self._chosen = chosen
        self._results = results
        self._running: dict[int, Injection] = {}

    def strikes(self, number: int, call: Call) -> tuple[Any, Any]:
        """Copy this process for each fault at a call; in a copy, return what strikes."""
        if self.injection is None and number < len(self._campaign.calls):
            for injection in filter(self._chosen, self._campaign.injections(number)):
                if self._is_copy(injection):
                    return injection.strikes(number, call)
        return None, None

    def _is_copy(self, injection: Injection) -> bool:
        while len(self._running) >= self._jobs:
            self._wait()
        gc.freeze()
        loop = asyncio.get_running_loop()
        pid = os.fork()
        if pid:
            self._running[pid] = injection
            return False
        signal.alarm(LONGEST)
        asyncio._set_running_loop(loop)  # it knows the process that it runs in
        self.injection = injection
        return True

    def leave(self, verdict: Verdict) -> None:
        """End this copy."""
        code = 0
        try:
            line = json.dumps([verdict.injection, verdict.call, verdict.struck, verdict.wrong]).encode()
            file = os.open(self._results, os.O_WRONLY | os.O_APPEND)
            os.write(file, line + b"\n")
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            os._exit(code)

    def wait_for_all(self) -> None:
        """Wait for all copies."""
        while self._running:
            self._wait()

    def _wait(self) -> None:
        pid, status = os.wait()
        injection = self._running.pop(pid)
        if status:
            call = str(self._campaign.calls[injection.number])
            why = f"the run came to no end: {os.waitstatus_to_exitcode(status)}"
            self.astray.append(Verdict(str(injection), call, True, (why,)))
