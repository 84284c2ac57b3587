"""Where things lie: all that is built, and the state of running nodes, in one cache outside the repo."""

import os
import shutil
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
UNUSED_DAYS = 7


def cache() -> Path:
    """``~/.cache/dask-gpu-k8s/e2e``, or ``e2e`` below ``$DASK_GPU_K8S_CACHE``; made if it is not there."""
    root = Path(os.environ.get("DASK_GPU_K8S_CACHE") or "~/.cache/dask-gpu-k8s").expanduser().resolve()
    directory = root / "e2e"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def remove_unused(directory: Path, name: str) -> None:
    """Remove the folders NAME-KEY (a key is 16 digits of a hash) that nobody has touched for a week."""
    for old in directory.glob(f"{name}-{'[0-9a-f]' * 16}"):
        if time.time() - old.stat().st_mtime > UNUSED_DAYS * 86400:
            shutil.rmtree(old)
