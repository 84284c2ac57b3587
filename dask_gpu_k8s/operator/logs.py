"""Logs, for people or for programs. Whatever is logged while a resource is looked at names it and the run."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone

from dask_gpu_k8s.operator.engine.facts import Key


@dataclass(frozen=True)
class Run:
    """One look at a resource.

    Attributes
    ----------
    number : int
        Counted from the operator's start.
    key : Key
        Of the resource.
    """

    number: int
    key: Key

    def __str__(self) -> str:
        return f"[{self.number}] {self.key}: "


RUN: ContextVar[Run | None] = ContextVar("run", default=None)
"""The run that the present task belongs to."""


class PlainFormatter(logging.Formatter):
    """Lines for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(run)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        record.run = str(RUN.get() or "")
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """Lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if run := RUN.get():
            line |= {
                "run": run.number,
                "kind": run.key.kind,
                "namespace": run.key.namespace,
                "name": run.key.name,
            }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


FORMATS: dict[str, type[logging.Formatter]] = {"plain": PlainFormatter, "json": JsonFormatter}


def set_up(level: str, style: str) -> None:
    """Have this process's log written to standard error, in one of `FORMATS`."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATS[style]())
    logging.basicConfig(level=level, handlers=[handler], force=True)
