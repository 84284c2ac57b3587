from __future__ import annotations

import sys

import pytest

from dask_gpu_k8s.cluster import image
from dask_gpu_k8s.cluster.versions import check_versions, parse_version
from dask_gpu_k8s.errors import VersionMismatch

TALK = [
    ("2026.8.0", "2026.8.0"),
    ("2025.2.0", "2026.8.0"),
    ("2025.3.0", "2025.2.0"),
    ("2026.8.0", "2025.4.0"),
    ("2026.8.0", ""),
    ("2026.8.0+12.gabcdef", "2026.7.1"),
]


@pytest.mark.parametrize(("client", "scheduler"), TALK)
def test_versions_that_talk(client, scheduler):
    check_versions({"distributed": client}, {"distributed": scheduler}, "demo")


@pytest.mark.parametrize(("client", "scheduler"), [("2026.8.0", "2025.2.0"), ("2025.4.0", "2025.3.0")])
def test_versions_that_cannot_talk(client, scheduler):
    with pytest.raises(VersionMismatch, match=f"distributed {client} here .* {scheduler} on the") as caught:
        check_versions({"distributed": client}, {"distributed": scheduler}, "DaskCluster default/demo")
    assert (caught.value.client, caught.value.scheduler) == (client, scheduler)
    assert f"pip install distributed=={scheduler}" in str(caught.value)


HERE = {"python": "3.12.3.final.0", "dask": "2026.8.0", "distributed": "2026.8.0", "numpy": "2.0"}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, ""),
        ({"python": "3.12.9.final.0", "numpy": "1.0"}, ""),
        ({"python": None, "dask": None}, ""),
        ({"python": "3.11.3.final.0"}, "versions: python 3.12 here and 3.11 there. What"),
        (
            {"dask": "2026.7.1", "distributed": "2026.7.1"},
            "dask 2026.8.0 here and 2026.7.1 there, distributed 2026.8.0 here and 2026.7.1 there. W",
        ),
    ],
)
def test_row_46_one_warning_names_both_sides(there, said):
    text = check_versions(HERE, {**HERE, **there}, "DaskCluster default/demo")
    assert said in text
    assert bool(text) == bool(said)
    assert text.startswith("DaskCluster default/demo: " if said else "")


def test_release_part_of_a_version():
    assert parse_version("2026.8.0a1") == (2026, 8, 0)
    assert parse_version("unknown") == ()


@pytest.mark.parametrize(
    ("installed", "tag"), [("2025.2.0", "2025.2.0"), ("2026.8.0+5.gabc", "2026.8.0"), ("main", "main")]
)
def test_the_default_image_has_our_versions(monkeypatch, installed, tag):
    monkeypatch.setattr(image, "version", lambda name: installed)
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    assert image.default_image() == f"ghcr.io/dask/dask:{tag}-{python}"
