from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone

import pytest

from dask_gpu_k8s.api.conditions import (
    condition,
    find,
    format_time,
    holds,
    parse_time,
    set_condition,
    told,
    with_conditions,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)
LATER = NOW + timedelta(minutes=5)


def test_a_condition():
    assert condition("Ready", False, "Pending", "waits", generation=3, now=NOW) == {
        "type": "Ready",
        "status": "False",
        "reason": "Pending",
        "message": "waits",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }


def test_the_first_condition_of_its_type_is_added():
    conditions = set_condition(None, condition("Ready", True, "Up"), NOW)
    assert conditions[0]["lastTransitionTime"] == "2026-01-31T12:00:00Z"
    assert holds(conditions, "Ready")
    assert not holds(conditions, "Other")


def test_the_time_moves_only_with_the_status():
    first = set_condition([], condition("Ready", False, "Pending", "waits"), NOW)
    before = copy.deepcopy(first)
    again = set_condition(first, condition("Ready", False, "ImagePullBackOff", "no image"), LATER)
    assert again[0]["lastTransitionTime"] == format_time(NOW)
    assert again[0]["reason"] == "ImagePullBackOff"
    turned = set_condition(again, condition("Ready", True, "Up"), LATER)
    assert turned[0]["lastTransitionTime"] == format_time(LATER)
    assert first == before


def test_the_others_keep_their_place():
    kept = set_condition([], condition("A", True, "x"), NOW)
    kept = set_condition(kept, condition("B", True, "x"), NOW)
    changed = set_condition(kept, condition("A", "Unknown", "y"), LATER)
    assert [item["type"] for item in changed] == ["A", "B"]
    assert find(changed, "A")["status"] == "Unknown"
    assert find(changed, "C") is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.5Z",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31T14:00:00+02:00",
        "2026-01-31T07:00:00.5-05:00",
    ],
)
def test_times_are_read_with_any_number_of_digits_and_in_any_zone(text):
    assert parse_time(text).replace(microsecond=0) == NOW.replace(microsecond=0)


def test_times_are_written_in_utc():
    assert format_time(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-01-31T12:00:00Z"
    assert format_time(NOW.replace(tzinfo=None)) == "2026-01-31T12:00:00Z"


def test_what_was_told_of_an_object():
    obj = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert told(obj, "Ready") == {"type": "Ready", "status": "True"}
    assert (
        told(obj, "Other")
        == told({"status": None}, "Ready")
        == told({}, "Ready")
        == told(None, "Ready")
        == {}
    )


def test_what_is_said_takes_the_place_of_what_was():
    kept, old = {"type": "Mine", "status": "True"}, {"type": "Ready", "status": "False", "reason": "Before"}
    obj = {"metadata": {"generation": 3}, "status": {"conditions": [old, kept]}}
    ready, mine = with_conditions(obj, {"Ready": ("True", "Now", "It is.")}, datetime(2026, 1, 1))
    assert (ready["status"], ready["reason"], ready["message"]) == ("True", "Now", "It is.")
    assert (ready["observedGeneration"], ready["lastTransitionTime"]) == (3, "2026-01-01T00:00:00Z")
    assert mine == kept
