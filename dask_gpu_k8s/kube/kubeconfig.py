"""Kubeconfig files: read, merged and one context picked, without knowing what will be done with it.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_gpu_k8s.kube.errors import NoConfig


@dataclass(frozen=True)
class Section:
    """A cluster, user or context of a kubeconfig.

    Attributes
    ----------
    name : str
        How the kubeconfig calls it.
    values : mapping
        Its content.
    folder : Path
        Where its relative paths start: beside the file it stands in.
    """

    name: str
    values: Mapping[str, Any]
    folder: Path

    def text(self, key: str) -> str | None:
        """Return a text value, or ``None`` if it is missing or empty."""
        value = self.values.get(key)
        return str(value) if value else None

    def path(self, key: str) -> Path | None:
        """Return a value that names a file, seen from beside the kubeconfig."""
        value = self.text(key)
        return self.folder / Path(value).expanduser() if value else None

    def pem(self, key: str) -> bytes | None:
        """Return PEM data: inline (``<key>-data``) or from the file that `key` names.

        Raises
        ------
        NoConfig
            If it is not base64, or the file cannot be read.
        """
        inline = self.text(f"{key}-data")
        if inline:
            try:
                return base64.b64decode("".join(inline.split()), validate=True)
            except binascii.Error as error:
                raise NoConfig(f"{key}-data of {self.name!r} in the kubeconfig is not base64.") from error
        path = self.path(key)
        if path is None:
            return None
        try:
            return path.read_bytes()
        except OSError as error:
            raise NoConfig(
                f"{key} of {self.name!r} in the kubeconfig: {path} cannot be read: {error.strerror}."
            ) from error


@dataclass(frozen=True)
class Choice:
    """One context of a kubeconfig with the cluster and the user it names."""

    context: Section
    cluster: Section
    user: Section


def read(paths: Sequence[Path]) -> list[tuple[Mapping[str, Any], Path]]:
    """Read the kubeconfig files among `paths` that exist.

    Returns
    -------
    list of tuple
        Content of each file and the folder it lies in.

    Raises
    ------
    NoConfig
        If one exists but is not a kubeconfig.
    """
    import yaml

    found: list[tuple[Mapping[str, Any], Path]] = []
    for path in paths:
        try:
            content = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError) as error:
            raise NoConfig(f"The kubeconfig {path} cannot be read: {error}") from error
        if content is None:
            continue
        if not isinstance(content, dict):
            raise NoConfig(f"{path} is not a kubeconfig: it holds a {type(content).__name__}, not a mapping.")
        found.append((content, path.absolute().parent))
    return found


def choose(files: Sequence[tuple[Mapping[str, Any], Path]], context: str | None) -> Choice:
    """Merge kubeconfig files and pick a context; whoever names a thing first wins.

    Parameters
    ----------
    files : sequence of tuple
        As `read` gives them, at least one.
    context : str, optional
        Name of the context; by default the first ``current-context``.

    Raises
    ------
    NoConfig
        If there is no such context, or it names a cluster or user that is not there.
    """
    name = context or next(
        (file["current-context"] for file, _ in files if file.get("current-context")), None
    )
    if not name:
        raise NoConfig(
            "The kubeconfig has no current-context. Choose one with `kubectl config use-context NAME` "
            "or with context=."
        )
    chosen = _section(files, "context", name)
    cluster = _section(files, "cluster", str(chosen.values.get("cluster") or ""))
    user_name = chosen.text("user")
    user = _section(files, "user", user_name) if user_name else Section("", {}, cluster.folder)
    return Choice(chosen, cluster, user)


def _section(files: Sequence[tuple[Mapping[str, Any], Path]], kind: str, name: str) -> Section:
    known: list[str] = []
    for file, folder in files:
        for entry in file.get(f"{kind}s") or []:
            if entry.get("name") == name:
                return Section(name, entry.get(kind) or {}, folder)
            known.append(str(entry.get("name")))
    there = f"It has: {', '.join(known)}." if known else "It has none at all."
    raise NoConfig(f"The kubeconfig has no {kind} {name!r}. {there}")
