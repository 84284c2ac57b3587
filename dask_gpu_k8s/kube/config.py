"""Which Kubernetes, and as whom: from an argument, the environment, the home folder or the Pod we are in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dask_gpu_k8s.kube import kubeconfig as kubeconfigs
from dask_gpu_k8s.kube.aside import aside
from dask_gpu_k8s.kube.credentials import Credentials, Fixed, Identity, TokenFile, basic, bearer
from dask_gpu_k8s.kube.errors import NoConfig
from dask_gpu_k8s.kube.plugins import Plugin, auth_provider, exec_plugin

Kubeconfig: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""A kubeconfig: the path of a file, or its content."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where every Pod finds the token, the CA and the namespace of its service account."""


@dataclass(frozen=True)
class Connection:
    """All that is needed to reach an API server. It belongs to no event loop and may outlive many.

    Attributes
    ----------
    server : str
        URL of the API server, without a slash at the end.
    namespace : str
        The namespace that is meant if none is said.
    credentials : Credentials
        Who we are.
    ca : bytes, optional
        PEM of the authority that signs the server's certificate; by default the system's.
    verify : bool
        Whether the server's certificate is checked at all.
    tls_server_name : str, optional
        Name in the server's certificate, where it is not the host of the URL.
    proxy : str, optional
        URL of an HTTP proxy in between.
    """

    server: str
    namespace: str
    credentials: Credentials
    ca: bytes | None = None
    verify: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None


def in_cluster() -> bool:
    """Say whether this process runs in a Pod, and so can reach Pods and Services directly."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


async def load(kubeconfig: Kubeconfig | None = None, context: str | None = None) -> Connection:
    """Find out which Kubernetes is meant.

    Looks at `kubeconfig`, else at the files in ``$KUBECONFIG``, else at ``~/.kube/config``, else at the
    service account of the Pod this runs in. A `context` is only looked for in kubeconfigs.

    Files are read beside the event loop: a kubeconfig of many clusters takes seconds to parse.

    Parameters
    ----------
    kubeconfig : str, path or mapping, optional
        Path of a kubeconfig, or its content.
    context : str, optional
        Name of the context; by default the current one.

    Returns
    -------
    Connection

    Raises
    ------
    NoConfig
        If nothing usable is found; the message says where was looked and what is wrong there.
    """
    return await aside(_load, kubeconfig, context)


def _load(kubeconfig: Kubeconfig | None, context: str | None) -> Connection:
    if isinstance(kubeconfig, Mapping):
        return _from_kubeconfig([(kubeconfig, Path.cwd())], kubeconfig, context)
    paths = _paths(kubeconfig)
    files = kubeconfigs.read(paths)
    if files:
        return _from_kubeconfig(files, os.pathsep.join(map(str, paths)), context)
    looked = " and ".join(str(path) for path in paths)
    if kubeconfig is not None:
        raise NoConfig(f"There is no kubeconfig at {looked}.")
    if context is not None:
        raise NoConfig(f"The context {context!r} was asked for, but there is no kubeconfig at {looked}.")
    if not in_cluster():
        raise NoConfig(
            f"No Kubernetes is configured: there is no kubeconfig at {looked}, and this is not a Pod. "
            "Set KUBECONFIG, or pass kubeconfig=."
        )
    return _from_service_account()


def _paths(kubeconfig: str | os.PathLike[str] | None) -> list[Path]:
    if kubeconfig is not None:
        return [Path(kubeconfig).expanduser()]
    listed = os.environ.get("KUBECONFIG", "")
    given = [Path(path).expanduser() for path in listed.split(os.pathsep) if path]
    return given or [Path("~/.kube/config").expanduser()]


def _from_kubeconfig(
    files: list[tuple[Mapping[str, Any], Path]], source: str | Mapping[str, Any], context: str | None
) -> Connection:
    choice = kubeconfigs.choose(files, context)
    cluster = choice.cluster
    server = cluster.text("server")
    if not server:
        raise NoConfig(f"The cluster {cluster.name!r} in the kubeconfig has no server.")
    return Connection(
        server=server.rstrip("/"),
        namespace=choice.context.text("namespace") or "default",
        credentials=_credentials(choice, source),
        ca=cluster.pem("certificate-authority"),
        verify=not cluster.values.get("insecure-skip-tls-verify"),
        tls_server_name=cluster.text("tls-server-name"),
        proxy=cluster.text("proxy-url"),
    )


def _credentials(choice: kubeconfigs.Choice, source: str | Mapping[str, Any]) -> Credentials:
    user = choice.user
    if user.text("as"):
        raise NoConfig(
            f"The user {user.name!r} in the kubeconfig acts as somebody else (`as`), which is not supported."
        )
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    pair = (certificate, key) if certificate and key else None
    token, token_file = user.text("token"), user.path("tokenFile")
    username, password = user.text("username"), user.text("password")
    if token_file is not None:
        return TokenFile(token_file, pair)
    if token:
        return Fixed(Identity(bearer(token), pair))
    if user.values.get("exec"):
        return Plugin(exec_plugin(user), choice.context.name)
    if user.values.get("auth-provider"):
        return Plugin(auth_provider(source, choice.context.name), choice.context.name)
    if username and password:
        return Fixed(Identity(basic(username, password), pair))
    return Fixed(Identity(certificate=pair))


def _from_service_account() -> Connection:
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = SERVICE_ACCOUNT / "token"
    if not token.exists():
        raise NoConfig(
            f"This Pod has no service account token at {token}. Is automountServiceAccountToken off?"
        )
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or "default",
        credentials=TokenFile(token),
        ca=(SERVICE_ACCOUNT / "ca.crt").read_bytes(),
    )
