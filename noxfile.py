"""The only door to this project's chores: `nox -s demo`, `nox -s tests`, `nox -s lint`.

Every session sets itself up from nothing but Python; environments live outside the repository.
"""

import hashlib
import os
import runpy
from collections.abc import Sequence
from pathlib import Path

import nox

ROOT = Path(__file__).parent
CACHE = Path(os.environ.get("DASK_GPU_K8S_CACHE", "~/.cache/dask-gpu-k8s")).expanduser()

# One folder of environments per checkout, so that two checkouts never share a half-built one.
nox.options.envdir = str(CACHE / f"nox-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}")
nox.options.sessions = ["lint", "tests", "tests-oldest"]
nox.options.error_on_external_run = True

OLDEST_DASK = ("dask==2025.2.0", "distributed==2025.2.0")  # RAPIDS 25.04 pins it
# What the GPU image of the page holds, as packages; dask-cuda names the Dask that goes with it.
RAPIDS = ("dask-cuda[cu13]==26.10.*", "rmm-cu13==26.10.*", "cupy-cuda13x[ctk]>=14")
# Four at a time, since tests mostly wait for processes to come up and go.
SIDE_BY_SIDE = ("-n", "4", "--dist", "worksteal", "--durations", "10")


def set_up(session: nox.Session, *requirements: str) -> None:
    """Install the project as a user would, and keep caches out of the repository."""
    session.install(*requirements)
    session.env["RUFF_CACHE_DIR"] = str(CACHE / "ruff")
    session.env["HYPOTHESIS_STORAGE_DIRECTORY"] = str(CACHE / "hypothesis")
    session.env["MYPY_CACHE_DIR"] = str(CACHE / "mypy")
    # A user's own cluster must never be touched by a chore.
    session.env["KUBECONFIG"] = os.devnull


def run_pytest(session: nox.Session, options: Sequence[str], what: Sequence[str] = ()) -> None:
    """Run the tests that the caller names, else `what`."""
    session.run("pytest", "-o", f"cache_dir={CACHE / 'pytest'}", *options, *(session.posargs or what))


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job: a Dask cluster comes up, computes, scales, is found again and goes away."""
    set_up(session, ".[demo]")
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run unit and integration tests on the newest Dask."""
    set_up(session, ".[test]")
    run_pytest(session, SIDE_BY_SIDE)


@nox.session(name="tests-oldest")
def tests_oldest(session: nox.Session) -> None:
    """Run the same tests on the oldest Dask that is supported."""
    set_up(session, ".[test]", *OLDEST_DASK)
    run_pytest(session, SIDE_BY_SIDE)


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the same scenarios on the embedded and on a real Kubernetes, and what only a real one can show.

    On the oldest Dask, because that is the one in the image that the scenarios name.
    """
    set_up(session, ".[test]", *OLDEST_DASK)
    scenarios = [f"tests/integration/{folder}" for folder in ("scenarios", "api_server", "forwarding")]
    # A cluster that was given is one for all tests, some of which take rights from the operator in it.
    side_by_side = () if os.environ.get("DASK_K8S_E2E_KUBECONFIG") else ("-n", "4", "--dist", "loadgroup")
    options = ["--kubernetes", "embedded,real", "--timeout", "600", "--durations", "20", *side_by_side]
    run_pytest(session, options, what=[*scenarios, "tests/e2e"])


@nox.session(name="e2e-versions")
def e2e_versions(session: nox.Session) -> None:
    """Run the contract of the API on the API servers alone of the oldest and of the newest Kubernetes."""
    set_up(session, ".[test]")
    versions = runpy.run_path(str(ROOT / "tests" / "e2e" / "node" / "versions.py"))
    kinds = f"api-{versions['OLDEST_KUBERNETES']},api-{versions['NEWEST_KUBERNETES']}"
    run_pytest(session, ["--kubernetes", kinds, "--timeout", "600"], what=["tests/integration/api_server"])


@nox.session
def gpu(session: nox.Session) -> None:
    """Run the page with dask-cuda on the GPUs of this machine; fails where there is none."""
    set_up(session, ".[test,gpu]", *RAPIDS)
    run_pytest(session, ["--durations", "0"], what=["tests/gpu"])


@nox.session
def faults(session: nox.Session) -> None:
    """Play every script of an operator's life with a fault at every call; by default a spread of them."""
    set_up(session, ".[test]")
    session.run("python", "-m", "tests.faults", *(session.posargs or ("--every", "8")))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, the layers of the house, and that generated files are current."""
    set_up(session, "-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")
    session.run("python", "scripts/make_crds.py", "--check")
    session.run("python", "scripts/make_deploy.py", "--check")
    session.run("python", "scripts/check_words.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Print the measured figures beside their goals: `nox -s bench`, or one with its options after `--`."""
    set_up(session, ".[test]")
    session.run("python", "-m", "benchmarks", *session.posargs)
