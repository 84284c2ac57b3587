from __future__ import annotations

from datetime import datetime, timedelta, timezone

from dask_gpu_k8s.api.holds import hold, holds, marks

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
LATER = NOW + timedelta(seconds=30)


def held(**annotations: str) -> dict:
    said = {f"kubernetes.dask.org/{key}": value for key, value in annotations.items()}
    return {"metadata": {"annotations": {"team": "blue", **said}}}


def test_each_holder_has_a_time_of_its_own():
    cluster = held(**{"frozen-a": "2026-01-31T12:00:30Z", "frozen-b": "2026-01-31T11:59:59Z"})
    assert holds(cluster, NOW) == {"a": LATER}
    assert holds(cluster, LATER) == {}


def test_what_is_no_time_holds_nothing():
    assert holds(held(**{"frozen-ana": "for ever", "template": "x"}), NOW) == {}
    assert holds({"metadata": {}}, NOW) == {}


def test_what_is_written_is_read():
    cluster = {"metadata": hold("a", LATER)["metadata"]}
    assert holds(cluster, NOW) == {"a": LATER}
    assert marks(cluster) == {"a": "2026-01-31T12:00:30Z"}
    assert hold("a", None) == {"metadata": {"annotations": {"kubernetes.dask.org/frozen-a": None}}}
