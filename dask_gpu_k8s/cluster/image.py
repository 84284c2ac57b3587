"""The default image: the client's own versions, so that both sides can talk."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version

IMAGE = "ghcr.io/dask/dask"


def default_image() -> str:
    """Name the published Dask image whose Dask and Python are those of this process.

    Returns
    -------
    str
        e.g. ``"ghcr.io/dask/dask:2026.8.0-py3.12"``. Never ``:latest``: an image that changes under a
        running project is the most frequent cause of clients and workers that do not understand each other.
    """
    installed = version("dask")
    # A development version has no image; the release it builds on does.
    release = re.match(r"\d+\.\d+\.\d+", installed)
    tag = release.group() if release else installed
    return f"{IMAGE}:{tag}-py{sys.version_info.major}.{sys.version_info.minor}"
