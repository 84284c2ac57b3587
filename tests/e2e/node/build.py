"""Compiling Kubernetes, CoreDNS and Helm from their Go modules; each result is cached by its version."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.e2e.node import golang, versions
from tests.e2e.node.commands import locked, run
from tests.e2e.node.places import HERE, cache

COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
KUBERNETES, COREDNS, HELM = "k8s.io/kubernetes", "github.com/coredns/coredns", "helm.sh/helm/v3"
# Nobody debugs these: a good twentieth of the compiler's time.
COMPILER = "-gcflags=all=-dwarf=false"


def node() -> Path:
    """Give the folder with the node's programs and ``helm``, compiled first where it is not there.

    One module requires them all, so that what they have in common is compiled once: half the time.
    """
    required = {KUBERNETES: versions.KUBERNETES, COREDNS: versions.COREDNS, HELM: versions.HELM}
    packages = [*_commands(COMMANDS), f"{HELM}/cmd/helm", "./coredns"]
    return _compile("-".join(["node", *required.values()]), required, packages)


def api_server(version: str) -> Path:
    """Give the folder with the ``kube-apiserver`` of any release, compiled first where it is not there."""
    if version == versions.KUBERNETES:
        return node()
    return _compile(f"kube-apiserver-{version}", {KUBERNETES: version}, _commands(["kube-apiserver"]))


def pause() -> Path:
    """Give the path of the program in the pause image."""
    directory = _directory("pause-1")
    output = directory / "pause"
    with locked(cache() / "build.lock"):
        if not output.exists():
            _go("build", "-trimpath", "-ldflags", "-s -w", "-o", output, HERE / "pause" / "main.go")
    return output


def _commands(names: Iterable[str]) -> list[str]:
    return [f"{KUBERNETES}/cmd/{name}" for name in names]


def _directory(name: str) -> Path:
    directory = cache() / "bin" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _go(*arguments: str | Path, cwd: Path | None = None) -> str:
    return run(golang.go(), *arguments, cwd=cwd, env=golang.environment())


def _compile(name: str, required: dict[str, str], packages: Sequence[str]) -> Path:
    """Give the folder of this name with a program of each package, compiled first where it is not there."""
    directory = cache() / "bin" / name
    with locked(cache() / "build.lock"):
        if not directory.exists():
            print(f"e2e node: compiling {name}", flush=True)
            source = _empty(cache() / "src" / name)
            _write_module(source, required, packages)
            partial = _empty(directory.with_name("partial"))
            flags = f"-s -w {_stamp(required[KUBERNETES])}"
            options = ("-trimpath", COMPILER, "-ldflags", flags)
            _go("build", *options, "-o", f"{partial}/", *packages, cwd=source)
            partial.rename(directory)
            shutil.rmtree(source)
    return directory


def _write_module(source: Path, required: dict[str, str], packages: Sequence[str]) -> None:
    """Write a module of our own that names what to compile, and has the programs that are our own."""
    for package in packages:
        if package.startswith("./"):
            shutil.copytree(HERE / package, source / package)
    imports = "".join(f'import _ "{package}"\n' for package in packages if not package.startswith("./"))
    (source / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
    minimum = ".".join(map(str, versions.GO_MINIMUM))
    require = "".join(f"require {path} v{version}\n" for path, version in required.items())
    replace = "".join(f"replace {line}\n" for line in _twins(source, required[KUBERNETES]))
    (source / "go.mod").write_text(f"module dask-gpu-k8s.local/build\n\ngo {minimum}\n\n{require}\n{replace}")
    _go("mod", "tidy", cwd=source)


def _twins(source: Path, version: str) -> list[str]:
    """Point each staging module, which Kubernetes requires as v0.0.0, at its released twin v0.MINOR.PATCH."""
    module = json.loads(_go("mod", "download", "-json", f"{KUBERNETES}@v{version}", cwd=source))
    wanted = json.loads(_go("mod", "edit", "-json", module["GoMod"]))["Require"]
    twin = version.replace("1.", "v0.", 1)
    return [f"{one['Path']} => {one['Path']} {twin}" for one in wanted if one["Version"] == "v0.0.0"]


def _stamp(version: str) -> str:
    """Without a version the API server calls itself v0.0.0 and refuses to start."""
    values = {"gitVersion": f"v{version}", "gitMajor": "1", "gitMinor": version.split(".")[1]}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
