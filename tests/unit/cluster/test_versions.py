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
    check_versions(client, scheduler, "demo")


@pytest.mark.parametrize(("client", "scheduler"), [("2026.8.0", "2025.2.0"), ("2025.4.0", "2025.3.0")])
def test_versions_that_cannot_talk(client, scheduler):
    with pytest.raises(VersionMismatch, match=f"distributed {client} here .* {scheduler} on the") as caught:
        check_versions(client, scheduler, "DaskCluster default/demo")
    assert (caught.value.client, caught.value.scheduler) == (client, scheduler)
    assert f"pip install distributed=={scheduler}" in str(caught.value)


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
