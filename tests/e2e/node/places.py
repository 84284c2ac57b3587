"""Where things lie: all that is built, and the state of running nodes, in one cache outside the repo."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent


def cache() -> Path:
    """``~/.cache/dask-gpu-k8s/e2e``, or ``e2e`` below ``$DASK_GPU_K8S_CACHE``; made if it is not there."""
    root = Path(os.environ.get("DASK_GPU_K8S_CACHE") or "~/.cache/dask-gpu-k8s").expanduser().resolve()
    directory = root / "e2e"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
