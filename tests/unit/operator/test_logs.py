"""The operator's log: lines that name the run that they belong to."""

from __future__ import annotations

import json
import logging

import pytest

from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.logs import RUN, JsonFormatter, PlainFormatter, Run


def record(message: str = "made %s", *words: str, exc_info=None) -> logging.LogRecord:
    return logging.LogRecord("somebody", logging.INFO, "file.py", 1, message, words or ("it",), exc_info)


@pytest.fixture
def run():
    token = RUN.set(Run(7, Key("DaskCluster", "team", "foo")))
    yield
    RUN.reset(token)


def test_plain_lines_name_the_run(run):
    line = PlainFormatter().format(record())
    assert line.endswith(" INFO    somebody [7] DaskCluster team/foo: made it")


def test_plain_lines_outside_of_a_run():
    assert PlainFormatter().format(record()).endswith(" INFO    somebody made it")


def test_json_lines_name_the_run(run):
    line = json.loads(JsonFormatter().format(record()))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "somebody",
        "message": "made it",
        "run": 7,
        "kind": "DaskCluster",
        "namespace": "team",
        "name": "foo",
    }


def test_json_lines_are_one_line_each_whatever_happened():
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        text = JsonFormatter().format(record(exc_info=(type(error), error, error.__traceback__)))
    assert "\n" not in text
    assert "ValueError: two\nlines" in json.loads(text)["error"]
