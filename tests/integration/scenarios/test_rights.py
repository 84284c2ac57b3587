"""KubeCluster by whoever may do no more than what it takes, or less: in each Role that people really have."""

from __future__ import annotations

import inspect
import json
import logging
import queue
import re
from collections.abc import Callable
from importlib.metadata import version
from logging.handlers import QueueHandler
from typing import Any

import distributed
import pytest
import yaml
from distributed import Client

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api import rights
from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from dask_gpu_k8s.api.resources import GROUP
from dask_gpu_k8s.errors import NotAllowed, StartFailed
from tests.clusters import REAL, ROOT
from tests.conftest import namespace_in
from tests.integration.accounts import account_in

# Dask's own warning, about a node's images that have another Python 3.11 and no numpy.
pytestmark = pytest.mark.filterwarnings("ignore:Mismatched versions found")

IMAGE = f"ghcr.io/dask/dask:{distributed.__version__}"

NOTEBOOK = yaml.safe_load((ROOT / "deploy" / "notebook" / "role.yaml").read_text())["rules"]


def rule(group: str, resources: str, verbs: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


RAPIDS = [
    rule("", "pods services", "get list watch create delete"),
    rule("", "pods/log", "get list"),
    rule(GROUP, "*", "*"),
]
"""The Role in RAPIDS' documentation."""

UPSTREAM = [
    rule(
        GROUP, "daskclusters daskworkergroups daskjobs daskautoscalers", "get list watch patch create delete"
    ),
    rule("", "pods services", "get list watch patch create delete"),
]
"""The ClusterRole in dask-kubernetes' documentation."""


@pytest.fixture
def account(kubernetes, tmp_path):
    with account_in(kubernetes, tmp_path) as account:
        yield account


@pytest.fixture
def settings(account):
    """Arguments for a cluster with one worker, made by the account in its namespace."""
    return {"name": "demo", "image": IMAGE, "n_workers": 1, "kubeconfig": account.kubeconfig, "quiet": True}


def live(**settings: Any) -> str:
    """Do with a cluster all that there is to do; return its scheduler's address."""
    found_by = {name: settings[name] for name in settings if name not in {"image", "n_workers"}}
    with KubeCluster(**settings) as cluster:
        with Client(cluster) as client:
            assert client.submit(sum, [1, 2, 3]).result(timeout=60) == 6
            cluster.scale(2)
            client.wait_for_workers(2, timeout=60)
        cluster.adapt(minimum=0, maximum=2)
        cluster.adapt(minimum=1, maximum=2)
        cluster.scale(1)
        cluster.add_worker_group("more", n_workers=0)
        cluster.adapt(0, 1, worker_group="more")
        cluster.scale(0, worker_group="more")
        cluster.delete_worker_group("more")
        assert "demo-scheduler" in cluster.get_logs()
        assert list(cluster.worker_groups()) == ["default"]
        with cluster.frozen():
            pass
        cluster.suspend()
        cluster.resume()
        with KubeCluster.from_name(**found_by) as again, Client(again) as client:
            assert client.submit(sum, [1, 2, 3]).result(timeout=60) == 6
        return str(cluster.scheduler_address)


def lines(caplog) -> list[str]:
    """Return what the log says of rights."""
    records = [each for each in caplog.get_records("call") if each.name.startswith("dask_gpu_k8s")]
    return [each.getMessage() for each in records if " cannot " in each.getMessage()]


def clusters(kubernetes) -> list[str]:
    return kubernetes.kubectl("get", "daskclusters", "-o", "name").split()


def test_the_notebooks_role_suffices(kubernetes, account, settings, caplog):
    account.allow(NOTEBOOK)
    assert live(**settings).startswith("tcp://127.0.0.1:")
    assert clusters(kubernetes) == []
    assert lines(caplog) == []


def test_the_notebooks_role_with_the_right_to_one_secret_suffices_for_tls(kubernetes, account, settings):
    account.allow([*NOTEBOOK, {**rule("", "secrets", "get"), "resourceNames": ["demo-tls"]}])
    assert live(security=True, **settings).startswith("tls://127.0.0.1:")
    assert clusters(kubernetes) == []


def node_address(kubernetes) -> str:
    path = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}'
    return kubernetes.kubectl("get", "nodes", "-o", path)


@pytest.mark.parametrize("rules", [RAPIDS, UPSTREAM], ids=["rapids", "upstream"])
@pytest.mark.parametrize("service", ["NodePort", "LoadBalancer"])
def test_the_roles_that_people_have_suffice_from_outside(
    kubernetes, account, settings, rules, service, caplog
):
    """Neither allows a port-forward, nor to look at nodes; one line says so of each of events and logs."""
    account.allow(rules)
    ways = {
        "NodePort": {"node_port_host": node_address(kubernetes)},
        "LoadBalancer": {"connect": "load-balancer"},
    }
    live(scheduler_service_type=service, **ways[service], **settings)
    assert clusters(kubernetes) == []
    missing = [re.findall(r'cannot \S+ resource "(\S+)"', line) for line in lines(caplog)]
    assert missing == [["events"], ["pods/log"]][: 2 if rules is UPSTREAM else 1]


INSIDE = """
from typing import Any
from distributed import Client
from dask_gpu_k8s import KubeCluster

{live}

print(live(name="demo", image="{image}", n_workers=1, quiet=True))
"""


@pytest.mark.parametrize("rules", [RAPIDS, UPSTREAM], ids=["rapids", "upstream"])
def test_the_roles_that_people_have_suffice_in_a_pod(kubernetes, account, rules):
    account.allow(rules)
    program = INSIDE.format(live=inspect.getsource(live), image=IMAGE)
    acting = account.acting()
    container = {
        "name": "notebook",
        "image": f"{OPERATOR_IMAGE}:{version('dask-gpu-k8s')}-dask{distributed.__version__}",
        "command": ["python", "-c", program],
        **acting.pop("containers", [{}])[0],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "notebook"},
        "spec": {"restartPolicy": "Never", "containers": [container], **acting},
    }
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubernetes.kubectl(
        "wait", "pod/notebook", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s",
        check=False, timeout=130,
    )  # fmt: skip
    written = kubernetes.kubectl("logs", "notebook").splitlines()
    assert written[-1] == f"tcp://demo-scheduler.{kubernetes.namespace}.svc:8786", written
    assert clusters(kubernetes) == []


@pytest.fixture(scope="module")
def there(dask_cluster):
    """A cluster with a group that adapts, made by somebody else."""
    with namespace_in(dask_cluster) as kubernetes:
        settings = {"namespace": kubernetes.namespace, "kubeconfig": kubernetes.kubeconfig, "image": IMAGE}
        with KubeCluster(
            name="demo", n_workers=0, scheduler_service_type="LoadBalancer", **settings
        ) as cluster:
            cluster.add_worker_group("more", n_workers=0)
            cluster.adapt(0, 1, worker_group="more")
            yield kubernetes


class Somebody:
    """Has all rights of the notebook's Role but one, and tries what takes it."""

    def __init__(self, there, account, missing: tuple[str, str]) -> None:
        self._kubeconfig = account.kubeconfig
        self._namespace = there
        resource, verb = missing
        rest = [
            {**each, "verbs": [one for one in each["verbs"] if one != verb]}
            if resource in each["resources"]
            else each
            for each in NOTEBOOK
        ]
        account.allow([each for each in rest if each["verbs"]])

    def connect(self, name: str = "demo", connect: str = "port-forward", **settings: Any) -> KubeCluster:
        return KubeCluster(
            name=name,
            image=IMAGE,
            n_workers=0,
            connect=connect,
            kubeconfig=self._kubeconfig,
            quiet=True,
            **settings,
        )

    def find(self) -> None:
        self.connect().close()

    def find_by_load_balancer(self) -> None:
        self.connect(connect="load-balancer").close()

    def create(self) -> None:
        self.connect("new")

    def remove(self) -> None:
        self.connect("new").close()

    def start_in_vain(self) -> None:
        with pytest.raises(StartFailed):
            self.connect("new", scheduler_resources={"limits": {"nvidia.com/gpu": 99}}, resource_timeout=5)

    def _do(self, method: str, *arguments: Any, **options: Any) -> None:
        with self.connect() as cluster:
            getattr(cluster, method)(*arguments, **options)

    def scale(self) -> None:
        self._do("scale", 0)

    def scale_what_adapts(self) -> None:
        self._do("scale", 0, worker_group="more")

    def adapt(self) -> None:
        self._do("adapt", 0, 1)

    def adapt_more(self) -> None:
        self._do("adapt", 0, 2, worker_group="more")

    def add_group(self) -> None:
        self._do("add_worker_group", "another", n_workers=0)

    def delete_group(self) -> None:
        self._do("delete_worker_group", "more")

    def suspend(self) -> None:
        self._do("suspend")

    def create_with_ttl(self) -> None:
        self.connect("new", ttl=60)

    def find_with_ttl(self) -> None:
        """Find a cluster that others renew."""
        self._namespace.kubectl(
            "patch", "daskcluster", "demo", "--type=merge", "-p", '{"spec": {"ttl": 86400}}'
        )
        try:
            self.find()
        finally:
            self._namespace.kubectl(
                "patch", "daskcluster", "demo", "--type=merge", "-p", '{"spec": {"ttl": 0}}'
            )

    def read_logs(self) -> None:
        self._do("get_logs")


REFUSED: dict[tuple[str, str], Callable[[Somebody], None]] = {
    ("daskclusters", "get"): Somebody.find,
    ("daskclusters", "list"): Somebody.find,
    ("daskclusters", "watch"): Somebody.create,
    ("daskclusters", "create"): Somebody.create,
    ("daskclusters", "delete"): Somebody.remove,
    ("daskclusters", "patch"): Somebody.suspend,
    ("daskworkergroups", "patch"): Somebody.scale,
    ("daskworkergroups", "create"): Somebody.add_group,
    ("daskworkergroups", "delete"): Somebody.delete_group,
    ("daskworkergroups", "get"): Somebody.adapt_more,
    ("daskautoscalers", "list"): Somebody.adapt,
    ("daskautoscalers", "create"): Somebody.adapt,
    ("daskautoscalers", "patch"): Somebody.adapt_more,
    ("daskautoscalers", "delete"): Somebody.scale_what_adapts,
    ("pods", "list"): Somebody.find,
    ("pods", "watch"): Somebody.create,
    ("services", "list"): Somebody.find_by_load_balancer,
    ("services", "watch"): Somebody.find_by_load_balancer,
    ("pods/portforward", "create"): Somebody.find,
    ("pods/portforward", "get"): Somebody.find,
    ("leases", "create"): Somebody.create_with_ttl,
    ("leases", "patch"): Somebody.create_with_ttl,
}
"""What takes a right so much that it is refused without."""

DONE_WITHOUT: dict[tuple[str, str], Callable[[Somebody], None]] = {
    ("daskworkergroups", "list"): Somebody.find,
    ("daskworkergroups", "watch"): Somebody.find,
    ("daskautoscalers", "list"): Somebody.scale,
    ("services", "get"): Somebody.find,
    ("pods/log", "get"): Somebody.read_logs,
    ("events", "list"): Somebody.start_in_vain,
    ("leases", "patch"): Somebody.find_with_ttl,
}
"""What is done without a right, with a line in the log."""


def test_what_becomes_of_each_right_is_shown():
    everything = {
        (resource, verb)
        for rule in rights.NOTEBOOK_RULES
        for resource in rule.resources
        for verb in rule.verbs
    }
    assert everything == {*REFUSED, *DONE_WITHOUT}


@pytest.fixture(scope="module")
def their_account(there, tmp_path_factory):
    with account_in(there, tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture
def somebody(there, their_account):
    """Make somebody who lacks a right."""
    yield lambda missing: Somebody(there, their_account, missing)
    there.kubectl("delete", "daskcluster", "new", "--ignore-not-found")


def minor_version(kubernetes) -> int:
    if kubernetes.kind != REAL:
        return 35
    return int(json.loads(kubernetes.kubectl("get", "--raw", "/version"))["minor"].rstrip("+"))


def lost(missing: tuple[str, str]) -> str:
    resource, verb = missing
    return next(
        each.without for each in rights.NOTEBOOK_RULES if resource in each.resources and verb in each.verbs
    )


@pytest.mark.parametrize("missing", REFUSED, ids="-".join)
def test_who_lacks_a_right_is_told_which_and_what_is_lost(somebody, there, missing, monkeypatch):
    resource, verb = missing
    if missing == ("pods/portforward", "create") and minor_version(there) < 35:
        REFUSED[missing](somebody(missing))  # Kubernetes asks for it since 1.35.
        return
    monkeypatch.setattr("dask_gpu_k8s.cluster.ways.balancer_host", lambda service: "")
    with pytest.raises(NotAllowed, match=f'cannot {verb} resource "{resource}"') as caught:
        REFUSED[missing](somebody(missing))
    assert f"Without that right {lost(missing)}. Ask for a Role" in str(caught.value)


@pytest.mark.parametrize("missing", DONE_WITHOUT, ids="-".join)
def test_what_can_be_done_without_a_right_is_done_and_said_once(somebody, missing, log):
    resource, verb = missing
    DONE_WITHOUT[missing](somebody(missing))
    line = log.get(timeout=30).getMessage()
    assert f'cannot {verb} resource "{resource}"' in line
    assert line.endswith(f"Without that right {lost(missing)}.")
    DONE_WITHOUT[missing](somebody(missing))
    assert log.empty()


@pytest.fixture
def log():
    """Queue the records of warnings."""
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = QueueHandler(records)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("dask_gpu_k8s")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
