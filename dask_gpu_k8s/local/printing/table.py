"""Tables: what the server answers when kubectl asks for rows to print instead of objects.

Source: Kubernetes' documentation, "Receiving resources as Tables".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.kinds import Column, Printer
from dask_gpu_k8s.local.printing import jsonpath
from dask_gpu_k8s.local.printing.ages import age

NAME = Column("Name", format="name")
AGE = Column("Age")


def make_table(
    printer: Printer, objects: Iterable[Manifest], now: datetime, list_meta: Manifest, include: str
) -> Manifest:
    """Make a Table.

    Parameters
    ----------
    printer : Printer
        Of the kind.
    objects : iterable of dict
    now : datetime
        For the column with the age.
    list_meta : dict
        ``metadata`` of the list.
    include : str
        What comes with each row: ``"Metadata"``, ``"Object"`` or ``"None"``.
    """
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": [_definition(column) for column in printer.columns],
        "rows": [_row(printer, obj, now, include) for obj in objects],
    }


def _definition(column: Column) -> Manifest:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(printer: Printer, obj: Manifest, now: datetime, include: str) -> Manifest:
    row: Manifest = {"cells": printer.cells(obj, now)}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
    return row


def _name_and_age(obj: Manifest, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], age(obj["metadata"].get("creationTimestamp"), now)]


PLAIN = Printer((NAME, AGE), _name_and_age)
"""For kinds that have nothing of their own to show."""


def custom_printer(columns: list[Manifest]) -> Printer:
    """Make the printer of a CRD's ``additionalPrinterColumns``."""
    if not columns:
        created = Column(
            "Age", "date", "CreationTimestamp is a timestamp representing the server time when this object "
            "was created.",
        )  # fmt: skip
        columns = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
        shown = [created]
    else:
        shown = [
            Column(
                column["name"],
                column["type"],
                column.get("description", ""),
                column.get("priority", 0),
                column.get("format", ""),
            )
            for column in columns
        ]

    def cells(obj: Manifest, now: datetime) -> list[Any]:
        own = [_cell(obj, column["jsonPath"], column["type"], now) for column in columns]
        return [obj["metadata"]["name"], *own]

    return Printer((NAME, *shown), cells)


def _cell(obj: Manifest, path: str, kind: str, now: datetime) -> Any:
    found = jsonpath.find(obj, path)
    if not found or found[0] is None:
        return None
    value = found[0]
    if kind == "date":
        return age(str(value), now)
    if kind == "string":
        return value if isinstance(value, str) else _text(found if len(found) > 1 else value)
    fits = {"integer": (int,), "number": (int, float), "boolean": (bool,)}.get(kind, ())
    if not isinstance(value, fits) or (isinstance(value, bool) and kind != "boolean"):
        return None
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
