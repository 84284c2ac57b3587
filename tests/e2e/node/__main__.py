"""The node by hand: ``python -m tests.e2e.node up | down | build``."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.e2e.node import ControlPlane, Failed, Node, build, host, images, slots, versions

Made = TypeVar("Made")


def up(options: argparse.Namespace) -> None:
    """Start a node that runs until ``down``."""
    if options.only_api_server:
        cluster = ControlPlane(options.only_api_server, detached=True).start()
    else:
        cluster = Node(detached=True).start()
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    print(f"# to stop it: python -m tests.e2e.node down {cluster.name}")


def down(options: argparse.Namespace) -> None:
    """Stop nodes of ``up``, and remove what killed runs left."""
    running = slots.detached()
    names = options.names or running
    if len(names) > 1 and not (options.names or options.all):
        raise Failed(f"Several nodes run; name those to stop, or say --all: {', '.join(running)}")
    for name in names:
        if name not in running:
            raise Failed(f"No node of `up` is called {name}; there is {', '.join(running) or 'none'}.")
        slots.stop(name)
        print(f"{name} stopped")


def build_all(options: argparse.Namespace) -> None:
    """Build everything, saying how long each took."""
    host.prepare()
    steps: list[Callable[[], Path]] = [build.pause, build.node]
    if options.versions:
        for version in (versions.OLDEST_KUBERNETES, versions.NEWEST_KUBERNETES):
            steps.append(lambda version=version: build.api_server(version))  # type: ignore[misc]
    for step in steps:
        _timed(step)
    made = _timed(images.standard)
    if options.archive:
        with options.archive.open("wb") as file:
            images.write_archive(made, file)
    for image in made:
        print(*image.names)


def _timed(step: Callable[[], Made]) -> Made:
    start = time.monotonic()
    result = step()
    print(
        f"{time.monotonic() - start:7.1f} s  {result if isinstance(result, Path) else 'images'}", flush=True
    )
    return result


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.node", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="up | down | build")
    verb = verbs.add_parser("up", help=up.__doc__)
    verb.add_argument(
        "--only-api-server", metavar="VERSION", help="etcd and this release's API server, nothing more"
    )
    verb.set_defaults(run=up)
    verb = verbs.add_parser("down", help=down.__doc__)
    verb.add_argument("names", nargs="*", metavar="NAME", help="e.g. e2e-0; needed only where several run")
    verb.add_argument("--all", action="store_true", help="all that were started by up")
    verb.set_defaults(run=down)
    verb = verbs.add_parser("build", help=build_all.__doc__)
    verb.add_argument("--versions", action="store_true", help="the API servers of the other releases too")
    verb.add_argument(
        "--archive", type=Path, help="write the images here, for docker load, kind load, k3d import"
    )
    verb.set_defaults(run=build_all)
    options = parser.parse_args()
    try:
        options.run(options)
    except Failed as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
