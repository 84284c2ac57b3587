"""Compiling Kubernetes, CoreDNS and Helm from their Go modules; each result is cached by its version."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.node import golang, versions
from tests.e2e.node.commands import locked, run
from tests.e2e.node.places import HERE, cache

NODE_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def kubernetes(version: str = versions.KUBERNETES, commands: Sequence[str] = NODE_COMMANDS) -> Path:
    """Give the folder with these commands of Kubernetes, compiled first where they are not there."""
    directory = _directory("kubernetes", version)
    with locked(cache() / "build.lock"):
        absent = [command for command in commands if not (directory / command).exists()]
        if absent:
            _compile_kubernetes(version, absent, directory)
    return directory


def coredns() -> Path:
    """Give the path of CoreDNS."""
    return _tool("coredns", "github.com/coredns/coredns", versions.COREDNS)


def helm() -> Path:
    """Give the path of Helm 3."""
    return _tool("helm", "helm.sh/helm/v3/cmd/helm", versions.HELM)


def pause() -> Path:
    """Give the path of the program in the pause image."""
    output = _directory("pause", "1") / "pause"
    with locked(cache() / "build.lock"):
        if not output.exists():
            _go("build", "-trimpath", "-ldflags", "-s -w", "-o", output, HERE / "pause" / "main.go")
    return output


def _directory(name: str, version: str) -> Path:
    directory = cache() / "bin" / f"{name}-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _go(*arguments: str | Path, cwd: Path | None = None) -> str:
    return run(golang.go(), *arguments, cwd=cwd, env=golang.environment())


def _compile_kubernetes(version: str, commands: Sequence[str], directory: Path) -> None:
    _say(f"compiling Kubernetes {version}: {', '.join(commands)}")
    source = _empty(cache() / "src" / f"kubernetes-{version}")
    module = json.loads(_go("mod", "download", "-json", f"k8s.io/kubernetes@v{version}", cwd=source))
    # Kubernetes requires its own staging modules as v0.0.0: point each at its released twin, v0.MINOR.PATCH.
    required = json.loads(_go("mod", "edit", "-json", module["GoMod"]))["Require"]
    twin = version.replace("1.", "v0.", 1)
    replaced = [f"{one['Path']} => {one['Path']} {twin}" for one in required if one["Version"] == "v0.0.0"]
    packages = [f"k8s.io/kubernetes/cmd/{command}" for command in commands]
    _write_module(source, module="k8s.io/kubernetes", version=version, replaced=replaced, packages=packages)
    _go("mod", "tidy", cwd=source)
    # Without a version the API server calls itself v0.0.0 and refuses to start.
    stamp = "k8s.io/component-base/version"
    minor = version.split(".")[1]
    flags = f"-s -w -X {stamp}.gitVersion=v{version} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={minor}"
    _install(source, packages, flags, directory)


def _tool(name: str, package: str, version: str) -> Path:
    output = _directory(name, version) / name
    with locked(cache() / "build.lock"):
        if not output.exists():
            _say(f"compiling {name} {version}")
            source = _empty(cache() / "src" / f"{name}-{version}")
            module = package.removesuffix("/cmd/helm")
            _write_module(source, module=module, version=version, replaced=[], packages=[package])
            _go("mod", "tidy", cwd=source)
            _install(source, [package], "-s -w", output.parent)
    return output


def _write_module(
    source: Path, *, module: str, version: str, replaced: Sequence[str], packages: Sequence[str]
) -> None:
    """Write a module of our own that only names what to compile."""
    minimum = ".".join(map(str, versions.GO_MINIMUM))
    replace = "".join(f"replace {line}\n" for line in replaced)
    text = f"module dask-gpu-k8s.local/build\n\ngo {minimum}\n\nrequire {module} v{version}\n\n{replace}"
    (source / "go.mod").write_text(text)
    imports = "".join(f'import _ "{package}"\n' for package in packages)
    (source / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")


def _install(source: Path, packages: Sequence[str], flags: str, directory: Path) -> None:
    partial = _empty(directory / "partial")
    _go("build", "-trimpath", "-ldflags", flags, "-o", f"{partial}/", *packages, cwd=source)
    for program in partial.iterdir():
        program.rename(directory / program.name)
    partial.rmdir()
    shutil.rmtree(source)


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _say(text: str) -> None:
    print(f"e2e node: {text}", flush=True)
