"""The preStop hook of worker Pods, so that their results survive a deletion that is not ours.

`dask worker` ends 0.2 s after SIGTERM, and its results with it. Kubernetes runs the hook before that signal:
at an eviction, when a node is drained or shut down, when somebody deletes the Pod.
"""

from __future__ import annotations

import ast
from importlib.resources import files

from dask_gpu_k8s.api.types import Manifest

TO_END = 5.0
"""Seconds of a Pod's grace that are left for SIGTERM, or half of it if it has less than twice that."""


def with_drain(spec: Manifest) -> Manifest:
    """Let a worker Pod drain itself before it ends, unless the user has a hook of their own.

    The hook is the first container's, which is where Dask is if there are several.

    Parameters
    ----------
    spec : Manifest
        The Pod's spec, with ``terminationGracePeriodSeconds``; it is not changed.
    """
    seconds = float(spec["terminationGracePeriodSeconds"])
    if not spec["containers"] or seconds <= 0 or has_own_hook(spec):
        return spec
    first, *others = spec["containers"]
    shared = ["shared"] if spec.get("hostNetwork") else []
    command = ["python", "-c", PROGRAM, f"{seconds - min(TO_END, seconds / 2):g}", *shared]
    lifecycle = {**(first.get("lifecycle") or {}), "preStop": {"exec": {"command": command}}}
    return {**spec, "containers": [{**first, "lifecycle": lifecycle}, *others]}


def has_own_hook(spec: Manifest) -> bool:
    """Say whether the user has given the first container a preStop hook."""
    first: Manifest = next(iter(spec.get("containers") or ()), {})
    return bool((first.get("lifecycle") or {}).get("preStop"))


def _without_words(text: str) -> str:
    """Leave comments and docstrings out of a program: it stands in every Pod."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


PROGRAM = _without_words(files("dask_gpu_k8s.operator.in_pods").joinpath("drain.py").read_text("utf-8"))
