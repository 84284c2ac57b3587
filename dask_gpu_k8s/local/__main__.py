"""``python -m dask_gpu_k8s.local``: a Kubernetes until Ctrl-C, with this package's operator."""

from __future__ import annotations

import argparse
import signal
import sys

from dask_gpu_k8s.api.manifests import crds, operator_manifests
from dask_gpu_k8s.local import LocalKubernetes, LocalKubernetesError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dask_gpu_k8s.local",
        description="Run a Kubernetes on this machine: an API server, and a node whose Pods are processes. "
        "Images are not pulled; containers run in this Python environment, as the user who started it.",
    )
    add = parser.add_argument
    add("--gpus", type=int, metavar="N", help="nvidia.com/gpu of the node; default: found by NVML")
    add("--cpus", metavar="QUANTITY", help="cpu of the node; default: what this process may use")
    add("--memory", metavar="QUANTITY", help="memory of the node; default: this machine's")
    add("--port", type=int, default=0, help="port of the API server; default: a free one")
    add("--kubeconfig", metavar="FILE", help="write the kubeconfig there; it is removed at the end")
    add("--path", action="append", default=[], metavar="FOLDER", help="comes first on the PATH of Pods")
    add("--no-operator", action="store_true", help="create the resource types without the operator")
    return parser


def main() -> int:
    """Run until Ctrl-C or SIGTERM."""
    options = _parser().parse_args()
    manifests = crds() if options.no_operator else [*crds(), *operator_manifests()]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    kubernetes = LocalKubernetes(
        manifests,
        gpus=options.gpus,
        cpus=options.cpus,
        memory=options.memory,
        port=options.port,
        path=options.path,
        kubeconfig=options.kubeconfig,
    )
    try:
        with kubernetes:
            print(f"export KUBECONFIG={kubernetes.kubeconfig}", flush=True)
            return kubernetes.wait()
    except LocalKubernetesError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
