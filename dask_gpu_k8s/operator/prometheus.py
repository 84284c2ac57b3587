"""Numbers in the text format that Prometheus reads, without its client library: three kinds, one page.

Source: Prometheus' documentation, "Exposition formats".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Values = Mapping[tuple[str, ...], float]
"""Numbers by the values of their labels."""


class Family(Protocol):
    """All numbers of one name."""

    def lines(self) -> Iterator[str]:
        """Write them, after what they mean."""


class Counter:
    """Numbers that only grow.

    Parameters
    ----------
    name, help : str
        `name` ends in ``_total``.
    *labels : str
        Names of the labels.
    """

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._values: dict[tuple[str, ...], float] = {}
        if not labels:
            self.start()

    def start(self, *values: str) -> None:
        """Begin at zero: what is not there cannot be told from what has not happened yet."""
        self._values.setdefault(values, 0.0)

    def add(self, *values: str, by: float = 1.0) -> None:
        """Count one more, or `by` more, with these values of the labels."""
        self._values[values] = self._values.get(values, 0.0) + by

    def value(self, *values: str) -> float:
        """Return the number with these values of the labels."""
        return self._values.get(values, 0.0)

    def lines(self) -> Iterator[str]:
        """Write the numbers."""
        yield from _head(self._name, self._help, "counter")
        for values, number in self._values.items():
            yield _line(self._name, self._labels, values, number)


class Gauge:
    """Numbers that are looked up when somebody asks for them.

    Parameters
    ----------
    name, help : str
        A name that ends in ``_total`` says that the numbers only grow.
    read : callable
        Returns the numbers by the values of their labels.
    *labels : str
        Names of the labels.
    """

    def __init__(self, name: str, help: str, read: Callable[[], Values], *labels: str) -> None:
        self._name, self._help, self._read, self._labels = name, help, read, labels

    def lines(self) -> Iterator[str]:
        """Write the numbers."""
        yield from _head(self._name, self._help, "counter" if self._name.endswith("_total") else "gauge")
        for values, number in self._read().items():
            yield _line(self._name, self._labels, values, number)


class Histogram:
    """How often something took how long.

    Parameters
    ----------
    name, help : str
        `name` ends in the unit, e.g. ``_seconds``.
    buckets : iterable of float
        Upper ends, ascending; the last, infinite one is added.
    label : str
        Name of the only label.
    """

    def __init__(self, name: str, help: str, buckets: Iterable[float], label: str) -> None:
        self._name, self._help, self._label = name, help, label
        self._ends = tuple(buckets)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def start(self, value: str) -> None:
        """Begin at zero."""
        self._counts.setdefault(value, [0] * (len(self._ends) + 1))
        self._sums.setdefault(value, 0.0)

    def add(self, value: str, number: float) -> None:
        """Count one more of this size."""
        if value not in self._counts:
            self.start(value)
        self._counts[value][bisect_left(self._ends, number)] += 1
        self._sums[value] += number

    def lines(self) -> Iterator[str]:
        """Write the numbers: each bucket counts what is in the smaller ones too."""
        yield from _head(self._name, self._help, "histogram")
        labels = (self._label, "le")
        for value, counts in self._counts.items():
            total = 0
            for end, count in zip((*self._ends, float("inf")), counts, strict=True):
                total += count
                yield _line(f"{self._name}_bucket", labels, (value, _number(end)), total)
            yield _line(f"{self._name}_sum", labels[:1], (value,), self._sums[value])
            yield _line(f"{self._name}_count", labels[:1], (value,), total)


def render(families: Iterable[Family]) -> str:
    """Write the page."""
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _head(name: str, help: str, type: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {type}"


def _line(name: str, labels: tuple[str, ...], values: tuple[str, ...], number: float) -> str:
    pairs = ",".join(f'{label}="{_escape(value)}"' for label, value in zip(labels, values, strict=True))
    return f"{name}{{{pairs}}} {_number(number)}" if pairs else f"{name} {_number(number)}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(number: float) -> str:
    if number == float("inf"):
        return "+Inf"
    return str(int(number)) if number == int(number) else repr(number)
