"""A Kubernetes in a process of its own, for as long as a ``with`` block."""

from __future__ import annotations

import json
import os
import secrets
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local import watchdog
from dask_gpu_k8s.local.settings import Settings

_STOP_SECONDS = 20.0


class LocalKubernetesError(RuntimeError):
    """The local Kubernetes could not be started; the message says why."""


class LocalKubernetes:
    """An API server on 127.0.0.1 and a node that runs Pods as processes of this machine and user.

    It runs beside this process and ends with it, and nothing of it stays then: no process, socket or file. It
    starts any Pod as the user who started it, so its kubeconfig is readable by that user alone.

    Parameters
    ----------
    manifests : iterable of Manifest, optional
        Objects to create at the start, in this order, CustomResourceDefinitions first.
    gpus : int, optional
        How many ``nvidia.com/gpu`` the node has; by default those that NVML finds and
        ``CUDA_VISIBLE_DEVICES`` does not hide.
    cpus : int, float or str, optional
        Allocatable ``cpu``, as a quantity; by default what this process may use.
    memory : int or str, optional
        Allocatable ``memory``, as a quantity; by default that of the machine.
    directory : path, optional
        Folder in which it makes its own, which it removes at the end; by default that for temporary files.
    port : int, optional
        Port of the API server; by default a free one.
    path : iterable of path, optional
        Folders that come first on the ``PATH`` of Pods, for commands that stand in for those of an image.
    kubeconfig : path, optional
        Write the kubeconfig there as well; it is removed at the end.

    Attributes
    ----------
    kubeconfig : pathlib.Path
        Path of its kubeconfig.
    namespace : str
        The namespace that the kubeconfig names: ``"default"``.
    server : str
        URL of the API server.
    pid : int
        Process id of the API server and node.

    Raises
    ------
    LocalKubernetesError
        If it cannot start, at ``start()`` or on entering ``with``.
    """

    def __init__(
        self,
        manifests: Iterable[Manifest] = (),
        *,
        gpus: int | None = None,
        cpus: int | float | str | None = None,
        memory: int | str | None = None,
        directory: str | os.PathLike[str] | None = None,
        port: int = 0,
        path: Iterable[str | os.PathLike[str]] = (),
        kubeconfig: str | os.PathLike[str] | None = None,
    ) -> None:
        self._settings = Settings(
            gpus=gpus,
            cpus=None if cpus is None else str(cpus),
            memory=None if memory is None else str(memory),
            port=port,
            path=tuple(os.path.abspath(folder) for folder in path),
            kubeconfig=None if kubeconfig is None else os.path.abspath(kubeconfig),
            manifests=tuple(manifests),
            owner=os.getpid(),
        )
        self._folder = os.path.abspath(directory or tempfile.gettempdir())
        self._process: subprocess.Popen[str] | None = None
        self.namespace = "default"
        self.kubeconfig = Path()
        self.server = ""
        self.pid = 0

    def __enter__(self) -> LocalKubernetes:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> LocalKubernetes:
        """Start it and wait until API server and node are ready and `manifests` are created."""
        _check_system()
        self._process = _start_watchdog(self._folder, self._settings.kubeconfig)
        try:
            self._take(_exchange(self._process, self._settings.to_json()))
        except BaseException:
            self.stop()
            raise
        return self

    def _take(self, answer: dict[str, object]) -> None:
        if "error" in answer:
            raise LocalKubernetesError(str(answer["error"]))
        self.kubeconfig = Path(str(answer["kubeconfig"]))
        self.server = str(answer["server"])
        self.pid = int(str(answer["pid"]))

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        return self._process.wait() if self._process else 0

    def stop(self) -> None:
        """End it and everything it runs; returns when nothing is left. May be called again."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _exchange(process: subprocess.Popen[str], settings: str) -> dict[str, object]:
    """Hand over the settings and return the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(settings + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        return {"error": "the server of the local Kubernetes ended while it started; its error is on stderr"}
    answer: dict[str, object] = json.loads(line)
    return answer


def _check_system() -> None:
    if sys.platform != "linux":
        raise LocalKubernetesError(
            f"a local Kubernetes needs Linux, and this is {sys.platform}: every Pod listens on an address of "
            "its own in 127.0.0.0/8, which other systems do not have. Use it inside a Linux container or "
            "virtual machine, or any other Kubernetes, such as kind or minikube."
        )


def _start_watchdog(folder: str, kubeconfig: str | None) -> subprocess.Popen[str]:
    """Start the watchdog, which starts the server."""
    marker = f"LOCAL_KUBERNETES_{secrets.token_hex(8)}=1"
    remove = ["--remove", kubeconfig] if kubeconfig else []
    with open(watchdog.__file__) as script:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", f"/dev/fd/{script.fileno()}", *remove, folder, marker],
            env=_environment(),
            pass_fds=(script.fileno(),),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C on a terminal reaches the whole group: it is for the caller
        )


def _environment() -> dict[str, str]:
    """Return the environment of the server: this one, in which this package can be found."""
    root = str(Path(__file__).parents[2])
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if root in path or root in site.getsitepackages():
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*path, root])}
