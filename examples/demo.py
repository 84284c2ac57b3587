"""Watch a Dask cluster come up on Kubernetes, compute, scale, be found again and go away.

Needs nothing but Python: the Kubernetes is `LocalKubernetes`, which runs Pods as processes of this machine.
The computation is real: which digit is it? Each of 1,797 handwritten digits that scikit-learn ships is named
after the one most like it among all the others, block by block on the cluster, and NumPy alone must agree.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time

import numpy as np
from dask.distributed import Client
from rich.console import Console
from sklearn.datasets import load_digits

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api.manifests import crds, operator_manifests
from dask_gpu_k8s.local import LocalKubernetes

console = Console(soft_wrap=True, highlight=False)
started = time.monotonic()

FROM_ANOTHER_PROCESS = """
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

cluster = KubeCluster.from_name("demo")
with Client(cluster) as client:
    print(client.submit(lambda: "hello from " + __import__("socket").gethostname()).result())
cluster.close()
"""


def say(text: str) -> None:
    """Print one step with the seconds since the start."""
    console.print(f"[dim]{time.monotonic() - started:5.1f} s[/dim]  {text}")


def wait_for(client: Client, workers: int) -> None:
    """Wait for workers, telling of each one that is ready."""
    for ready in range(len(client.nthreads()), workers):
        with console.status(f"waiting for workers: {ready} of {workers} ready"):
            client.wait_for_workers(ready + 1, timeout=60)
    say(f"{workers} of {workers} workers ready")


def nearest(images: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return, for images `first` to `last`, the index of the most similar other image."""
    block = images[first:last]
    distance = (block**2).sum(1)[:, None] - 2 * block @ images.T + (images**2).sum(1)[None, :]
    distance[np.arange(last - first), np.arange(first, last)] = np.inf
    return distance.argmin(axis=1)


def on_the_cluster(client: Client, images: np.ndarray, blocks: int = 24) -> np.ndarray:
    """Compute `nearest` for all images, a block per task."""
    everywhere = client.scatter(images, broadcast=True)
    edges = np.linspace(0, len(images), blocks + 1, dtype=int)
    futures = [
        client.submit(nearest, everywhere, int(first), int(last)) for first, last in itertools.pairwise(edges)
    ]
    return np.concatenate(client.gather(futures))


def main() -> None:
    """Run the whole story once."""
    images, digits = load_digits(return_X_y=True)

    say("starting a Kubernetes on this machine: API server and node")
    with LocalKubernetes(manifests=[*crds(), *operator_manifests()]) as kubernetes:
        say(f"ready; kubectl works with KUBECONFIG={kubernetes.kubeconfig}")

        with KubeCluster(name="demo", n_workers=2, kubeconfig=kubernetes.kubeconfig) as cluster:
            say(f"DaskCluster created, its scheduler is ready; dashboard at {cluster.dashboard_link}")
            with Client(cluster) as client:
                wait_for(client, 2)
                found = on_the_cluster(client, images)
                right = int((digits[found] == digits).sum())
                say(f"named {right} of {len(digits)} handwritten digits rightly")
                if not np.array_equal(found, nearest(images, 0, len(images))):
                    raise SystemExit("the cluster's answer differs from NumPy's")
                say("the same answer as NumPy alone, without Dask")

                cluster.scale(4)
                say("asked for 4 workers")
                wait_for(client, 4)
                cluster.scale(1)
                say("asked for 1: three workers hand over their data and go")

                hello = subprocess.run(
                    [sys.executable, "-c", FROM_ANOTHER_PROCESS],
                    env={**os.environ, "KUBECONFIG": str(kubernetes.kubeconfig)},
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                say(f"found again from another process: {hello.strip()}")
        say("cluster closed: the DaskCluster resource and its Pods are gone")
    say("[green]done: no process and no socket is left[/green]")


if __name__ == "__main__":
    main()
