"""What every test may ask for: a Kubernetes with the operator, a namespace of its own in it, and kubectl."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from tests import clusters
from tests.clusters import API_ALONE, EMBEDDED, REAL, Cluster, Comparison

BIN = Path(sys.executable).parent
KUBECTL = shutil.which("kubectl", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
# How long an example takes says nothing on a machine that does other things as well.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Kubernetes:
    """A cluster to test against, and a namespace of the test's own in it."""

    kubeconfig: Path
    namespace: str
    kind: str = EMBEDDED
    gpus: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that is to use this cluster and namespace."""
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "DASK_KUBERNETES__NAMESPACE": self.namespace,
        }

    def command(self, *args: str) -> list[str]:
        """Return the words of a kubectl call in the test's namespace."""
        assert KUBECTL, "kubectl is missing: install the extra 'test'"
        return [KUBECTL, "--namespace", self.namespace, *args]

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 130) -> str:
        """Run kubectl to its end and return what it printed; with `check`, exit code 0 is demanded."""
        done = subprocess.run(
            self.command(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
        )
        if check and done.returncode:
            raise AssertionError(
                f"kubectl {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def python(
        self, text: str, *args: str, timeout: float = 90, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python program that sees this cluster as a user's shell would."""
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", text, *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
        )
        if check and done.returncode:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def explain(self) -> str:
        """Collect what a person would look at first when something failed here."""
        parts = [
            self.kubectl("get", "daskclusters,daskworkergroups,daskjobs,pods,svc", "-o", "wide", check=False)
        ]
        parts.append(self.kubectl("get", "events", "--sort-by=.metadata.creationTimestamp", check=False))
        pods = self.kubectl("get", "pods", "-o", "name", check=False).split()
        parts += [f"--- {pod}\n" + self.kubectl("logs", "--tail=30", pod, check=False) for pod in pods[:6]]
        return "\n".join(parts)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a `dask-cuda-worker` that runs `dask worker`: the page's command without its GPUs."""
    folder = tmp_path_factory.mktemp("stand-ins")
    script = folder / "dask-cuda-worker"
    script.write_text('#!/bin/sh\nexec dask worker "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kubernetes",
        default=EMBEDDED,
        help="what tests run on: embedded (default), real, api-VERSION, or several with commas between. "
        "A real one is that of DASK_K8S_E2E_KUBECONFIG, else a node is built and started. On api-1.31.14 "
        "run those contract tests of the API that need no more than etcd and the API server of that release.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(kind, reason): run on one kind of Kubernetes alone, and why")
    config.addinivalue_line("markers", "long: takes minutes with all that goes with it, so it begins first")
    config.addinivalue_line("markers", "needs(what): cannot pass on an API server alone, for want of this")
    config.comparison = Comparison(config.getoption("--kubernetes").split(","))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the real Kubernetes once, before tests are handed out to processes that share it."""
    config = session.config
    if REAL not in config.comparison.kinds or hasattr(config, "workerinput") or config.option.collectonly:
        return
    started = contextlib.ExitStack()
    config.add_cleanup(started.close)
    config.real_kubeconfig = started.enter_context(clusters.real())
    clusters.install_operator(str(KUBECTL), config.real_kubeconfig)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tell a process that is to run tests where the real Kubernetes is."""
    node.workerinput["real_kubeconfig"] = str(getattr(node.config, "real_kubeconfig", ""))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever uses a cluster once on each kind that is asked for."""
    kinds = metafunc.config.comparison.kinds
    if only := metafunc.definition.get_closest_marker("only"):
        kinds = [kind for kind in kinds if kind == only.args[0]]
    # `world` is the contract of the API; whatever else uses a cluster runs Pods in it.
    if "world" not in metafunc.fixturenames:
        kinds = [kind for kind in kinds if not kind.startswith(API_ALONE)]
    for fixture in {"dask_cluster", "api_cluster"} & set(metafunc.fixturenames):
        metafunc.parametrize(fixture, kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist takes note of groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an API server alone cannot do; the summary says what and why."""
    comparison = config.comparison
    nothing_else = all(kind.startswith(API_ALONE) for kind in comparison.kinds)
    left_out = []
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        needs = item.get_closest_marker("needs")
        if str(parameters.get("api_cluster", "")).startswith(API_ALONE):
            need = needs.args[0] if needs else None
        else:
            need = "the embedded server or a node" if nothing_else else None
        only = item.get_closest_marker("only")
        if need:
            left_out.append(item)
            comparison.left_out[item.nodeid.removeprefix("tests/")] = need
        elif only and only.args[0] not in comparison.kinds:
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        _group(item)
    # What takes longest begins first, so that nobody waits for it in the end.
    items.sort(key=lambda item: (not item.get_closest_marker("long"), REAL not in item.name))


def _group(item: pytest.Item) -> None:
    """Keep together, where tests run side by side, those that share what is costly to make."""
    if item.get_closest_marker("xdist_group") is None and {"world", "cluster"} & set(item.fixturenames):
        kind = item.callspec.params.get("api_cluster", "") if hasattr(item, "callspec") else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{kind}"))


@pytest.fixture(scope="session")
def real_kubeconfig(request: pytest.FixtureRequest) -> Path:
    """Give the run's real Kubernetes."""
    given = getattr(request.config, "workerinput", {}).get("real_kubeconfig")
    return Path(given) if given else request.config.real_kubeconfig


@pytest.fixture(scope="session")
def real_cluster(real_kubeconfig: Path) -> Cluster:
    """Give the real Kubernetes with our operator installed in it."""
    return Cluster(REAL, real_kubeconfig, clusters.gpus_of(str(KUBECTL), real_kubeconfig))


@pytest.fixture(scope="session")
def dask_cluster(request: pytest.FixtureRequest, stand_ins: Path) -> Iterator[Cluster]:
    """Give a Kubernetes with our resources and operator; one of each kind for the whole run."""
    if request.param == REAL:
        yield request.getfixturevalue("real_cluster")
        return
    with clusters.embedded(stand_ins) as embedded:
        yield embedded


_numbers = itertools.count(1)


@contextlib.contextmanager
def namespace_in(cluster: Cluster) -> Iterator[Kubernetes]:
    """Make a namespace in a cluster, for as long as the block lasts."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    kubernetes = Kubernetes(cluster.kubeconfig, name, cluster.kind, cluster.gpus)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
    # Until it is there, Pods are refused.
    kubernetes.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    yield kubernetes
    kubernetes.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubernetes(dask_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kubernetes]:
    """Give the test a namespace of its own, and explain that namespace if the test fails."""
    with namespace_in(dask_cluster) as kubernetes:
        yield kubernetes
        if getattr(request.node, "failed", False):
            print(kubernetes.explain())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Compare the kinds of Kubernetes; of one alone, only say what was left out or is to be said."""
    if hasattr(config, "workerinput"):
        return
    comparison = config.comparison
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                comparison.add(report)
    if len(comparison.kinds) > 1 or comparison.left_out or comparison.notes:
        terminalreporter.section("kinds of Kubernetes, and seconds on each")
        for line in comparison.lines():
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if only := item.get_closest_marker("only"):
        report.only = ": ".join(only.args)
    item.failed = getattr(item, "failed", False) or report.failed
    return report
