"""``python -m dask_gpu_k8s.operator``: run the operator until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable

from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.limits import IN_FLIGHT, Limits
from dask_gpu_k8s.operator import logs
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.settings import Settings
from dask_gpu_k8s.operator.shaping import DefaultsError
from dask_gpu_k8s.operator.upstream.plugins import warn_of_plugins


def parse_settings(arguments: list[str] | None = None) -> Settings:
    """Read the settings from a command line, by default this process's own."""
    parser = argparse.ArgumentParser(
        prog="python -m dask_gpu_k8s.operator",
        description="Makes Pods and Services of DaskCluster, DaskWorkerGroup and DaskJob resources.",
    )
    parser.add_argument(
        "-n", "--namespace", action="append", default=[], dest="namespaces", metavar="NAMESPACE",
        help="namespace to look after; may be given several times (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--kubeconfig", metavar="PATH", help="by default $KUBECONFIG, ~/.kube/config or the Pod's own"
    )
    parser.add_argument(
        "--context", metavar="NAME", help="context within the kubeconfig (default: its current one)"
    )
    parser.add_argument(
        "--adopt", action="store_true",
        help="take over all clusters of dask-kubernetes' operator (default: those with the annotation)",
    )  # fmt: skip
    parser.add_argument(
        "--leader-elect", dest="lease", metavar="LEASE",
        help="work only while holding the Lease of this name in the operator's own namespace (default: work "
        "at once, and be the only one)",
    )  # fmt: skip
    parser.add_argument(
        "--defaults", metavar="FILE",
        help="labels, annotations, env, sidecars and more for all that is made (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--health-port", type=int, default=0, metavar="PORT",
        help="serve /healthz, /readyz and /metrics there (default: no)",
    )  # fmt: skip
    parser.add_argument(
        "--requests-in-flight", type=_positive(int), default=IN_FLIGHT, metavar="N",
        help="most requests to the API server at once (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--requests-per-second", type=_positive(float), metavar="N",
        help="most requests to the API server that begin in a second (default: as many as there are)",
    )  # fmt: skip
    parser.add_argument(
        "--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"], help="(default: INFO)"
    )
    parser.add_argument("--log-format", default="plain", choices=[*logs.FORMATS], help="(default: plain)")
    given = vars(parser.parse_args(arguments))
    return Settings(**{**given, "namespaces": tuple(given["namespaces"])})


def _positive(number: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = number(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    return read


async def run(settings: Settings) -> None:
    """Run the operator until this process is asked to end.

    Raises
    ------
    KubeError
        If there is no usable configuration.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    warn_of_plugins()
    async with KubeClient.connect(settings.kubeconfig, settings.context) as kube:
        kube.limits = Limits(settings.requests_in_flight, settings.requests_per_second)
        logging.getLogger(__name__).info("Looking after Dask resources at %s", kube.server)
        await Operator(kube, settings).run(stop)


def main() -> int:
    """Run the command and return its exit code."""
    settings = parse_settings()
    logs.set_up(settings.log_level, settings.log_format)
    try:
        asyncio.run(run(settings))
    except (KubeError, DefaultsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
