"""What can go wrong, for people: each error says what is wrong, where, and what to do.

::

    DaskClusterError
    ├── InvalidArgument      an argument, setting or manifest field has a wrong value    (ValueError)
    ├── InvalidType          … or a wrong type                                           (TypeError)
    ├── ClusterExists        create_mode CREATE_ONLY met an existing cluster             (ValueError)
    ├── ClusterNotFound      no DaskCluster of that name                                 (ValueError)
    ├── WorkerGroupExists    a worker group of that name is there already                (ValueError)
    ├── WorkerGroupNotFound  the cluster has no such worker group                        (ValueError)
    ├── NoKubernetes         no kubeconfig, or its server does not answer                (ConnectionError)
    ├── NotAllowed           the API server refuses this to these credentials            (PermissionError)
    ├── CRDsMissing          the custom resources are not installed
    ├── OperatorNotFound     nobody acts on the DaskCluster                              (TimeoutError)
    ├── StartFailed          the scheduler does not come up
    ├── CloseTimedOut        the DaskCluster is still there                              (TimeoutError)
    └── VersionMismatch      client and scheduler cannot talk to each other
"""

from __future__ import annotations

__all__ = [
    "DaskClusterError",
    "InvalidArgument",
    "InvalidType",
    "ClusterExists",
    "ClusterNotFound",
    "WorkerGroupExists",
    "WorkerGroupNotFound",
    "NoKubernetes",
    "NotAllowed",
    "CRDsMissing",
    "OperatorNotFound",
    "StartFailed",
    "CloseTimedOut",
    "VersionMismatch",
]


class DaskClusterError(Exception):
    """Anything that keeps a Dask cluster on Kubernetes from doing what was asked.

    Parameters
    ----------
    what : str
        What is wrong, as a sentence without its full stop.
    where : str
        The argument, field or object concerned.
    cure : str
        What to do about it; empty if there is nothing to say.

    Attributes
    ----------
    what, where, cure : str
        As given.
    """

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.cure}" if self.cure else text


class InvalidArgument(DaskClusterError, ValueError):
    """An argument, a configuration value or a field of a manifest has a wrong value."""


class InvalidType(DaskClusterError, TypeError):
    """An argument, a configuration value or a field of a manifest has a wrong type."""


class ClusterExists(DaskClusterError, ValueError):
    """A DaskCluster of that name is there already, and ``create_mode`` is ``CREATE_ONLY``."""


class ClusterNotFound(DaskClusterError, ValueError):
    """There is no DaskCluster of that name in the namespace."""


class WorkerGroupExists(DaskClusterError, ValueError):
    """The cluster has a worker group of that name already."""


class WorkerGroupNotFound(DaskClusterError, ValueError):
    """The cluster has no worker group of that name."""


class NoKubernetes(DaskClusterError, ConnectionError):
    """No Kubernetes could be reached: no kubeconfig, or its API server does not answer."""


class NotAllowed(DaskClusterError, PermissionError):
    """The API server refuses a request to these credentials."""


class CRDsMissing(DaskClusterError):
    """The custom resource definitions are not installed."""


class OperatorNotFound(DaskClusterError, TimeoutError):
    """No operator has taken notice of the DaskCluster."""


class StartFailed(DaskClusterError):
    """The scheduler does not come up.

    Parameters
    ----------
    what, where, cure : str
        As in :class:`DaskClusterError`.
    pod : str
        Name of the Pod concerned; empty if there is none.
    reason : str
        Kubernetes' word for it, e.g. ``"ImagePullBackOff"``.
    event : str
        Message of the last event about the Pod.
    log : str
        Last lines of the Pod's log.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        cure: str = "",
        pod: str = "",
        reason: str = "",
        event: str = "",
        log: str = "",
    ) -> None:
        super().__init__(what, where=where, cure=cure)
        self.pod = pod
        self.reason = reason
        self.event = event
        self.log = log

    def __str__(self) -> str:
        text = super().__str__()
        if self.event:
            text += f"\nLast event: {self.event}"
        if self.log:
            text += f"\nLast lines of its log:\n{self.log}"
        return text


class CloseTimedOut(DaskClusterError, TimeoutError):
    """The DaskCluster was deleted but is still there: somebody's finalizer holds it."""


class VersionMismatch(DaskClusterError):
    """The Dask versions of client and scheduler cannot talk to each other.

    Parameters
    ----------
    what, where, cure : str
        As in :class:`DaskClusterError`.
    client, scheduler : str
        Both versions of ``distributed``.
    """

    def __init__(
        self, what: str, *, where: str = "", cure: str = "", client: str = "", scheduler: str = ""
    ) -> None:
        super().__init__(what, where=where, cure=cure)
        self.client = client
        self.scheduler = scheduler
