"""What is installed: harmless Pods, no right too many, and in the repository what the package says."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dask_gpu_k8s.api import deploy, rights
from dask_gpu_k8s.api.manifests import builtin_schemas, crds, pod_schema
from dask_gpu_k8s.api.resources import DASK_RESOURCES
from dask_gpu_k8s.api.schema import unknown_fields, validate

ROOT = Path(__file__).parents[3]
IT = deploy.Installation(image="registry.example/dask-gpu-k8s:1", version="1")

EVERYWHERE = [
    deploy.make_namespace(IT.namespace),
    deploy.make_account(IT),
    *deploy.make_cluster_rights(IT),
    *deploy.make_lease_rights(IT),
    *deploy.make_user_roles(IT),
    deploy.make_deployment(IT),
]
SOMEWHERE = [
    deploy.make_account(IT),
    *deploy.make_namespace_rights(IT, "team"),
    *deploy.make_lease_rights(IT),
    deploy.make_deployment(IT, [deploy.OWN_NAMESPACE]),
]
ROLES = [one for one in (*EVERYWHERE, *SOMEWHERE) if one["kind"] in ("Role", "ClusterRole")]


def pod_of(deployment):
    return deployment["spec"]["template"]


def test_the_pod_is_let_in_by_pod_security_restricted():
    spec = pod_of(deploy.make_deployment(IT))["spec"]
    [container] = spec["containers"]
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"} & spec.keys()
    assert not any("hostPort" in port for port in container["ports"])
    assert not {"privileged", "procMount", "runAsUser", "seLinuxOptions", "windowsOptions"} & context.keys()


def test_the_pod_cannot_write_where_it_is_and_has_a_bound():
    [container] = pod_of(deploy.make_deployment(IT))["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_a_new_operator_is_ready_before_the_old_one_ends_and_a_lease_lets_one_work():
    spec = deploy.make_deployment(IT)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    [container] = spec["template"]["spec"]["containers"]
    assert f"--leader-elect={IT.name}" in container["args"]


def test_the_selector_finds_the_pod_and_outlives_a_new_version():
    old, new = (deploy.make_deployment(deploy.Installation("image", version)) for version in ("1", "2"))
    assert old["spec"]["selector"] == new["spec"]["selector"]
    assert old["spec"]["selector"]["matchLabels"].items() <= pod_of(old)["metadata"]["labels"].items()


def test_probes_ask_the_port_that_the_operator_is_told_to_serve():
    [container] = pod_of(deploy.make_deployment(IT))["spec"]["containers"]
    [port] = container["ports"]
    assert f"--health-port={port['containerPort']}" in container["args"]
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {
        port["name"]
    }


def test_the_operator_understands_its_arguments():
    from dask_gpu_k8s.operator.__main__ import parse_settings

    [container] = pod_of(deploy.make_deployment(IT, [deploy.OWN_NAMESPACE]))["spec"]["containers"]
    settings = parse_settings(container["args"])
    assert settings.health_port == deploy.HEALTH_PORT
    assert settings.namespaces == ("$(POD_NAMESPACE)",)
    assert settings.lease == IT.name
    assert [one["name"] for one in container["env"]] == ["POD_NAMESPACE", "POD_NAME", "POD_UID"]


@pytest.mark.parametrize(
    "made", [*EVERYWHERE, *SOMEWHERE], ids=lambda made: f"{made['kind']} {made['metadata']['name']}"
)
def test_all_of_it_fits_the_schemas_of_kubernetes(made):
    schema = builtin_schemas().get(made["kind"])
    if made["kind"] == "Deployment":
        made, schema = pod_of(made), pod_schema()
    assert unknown_fields(schema, made) == []
    assert validate(schema, made) == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: f"{role['kind']} {role['metadata']['name']}")
def test_no_rule_has_a_star(role):
    assert role["rules"]
    for rule in role["rules"]:
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not any("*" in word for word in words)


def test_no_right_is_given_twice():
    given = [
        (rule.group, resource, verb)
        for rule in rights.OPERATOR_RULES
        for resource in rule.resources
        for verb in rule.verbs
    ]
    assert len(given) == len(set(given))


def test_one_namespace_takes_nothing_of_the_whole_cluster():
    assert {one["kind"] for one in SOMEWHERE} == {"ServiceAccount", "Role", "RoleBinding", "Deployment"}
    assert all("namespace" in one["metadata"] for one in SOMEWHERE)


def test_the_lease_is_in_the_operators_own_namespace():
    role, _ = deploy.make_lease_rights(IT)
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", IT.namespace)


def test_the_rights_are_the_same_everywhere_and_somewhere_but_for_nodes():
    everywhere, somewhere = deploy.make_cluster_rights(IT)[0], deploy.make_namespace_rights(IT, "team")[0]
    nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
    assert everywhere["rules"] == [*somewhere["rules"], nodes]


def test_bindings_give_the_role_to_the_account():
    made = (deploy.make_cluster_rights(IT), deploy.make_namespace_rights(IT, "team"))
    for role, binding in (*made, deploy.make_lease_rights(IT)):
        assert binding["roleRef"]["kind"] == role["kind"]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        account = deploy.make_account(IT)["metadata"]
        [subject] = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])


@pytest.mark.parametrize(
    ("place", "verb"), [("view", "get"), ("edit", "deletecollection"), ("admin", "list")]
)
def test_who_views_or_edits_a_namespace_does_so_with_dask_resources(place, verb):
    [role] = [one for one in deploy.make_user_roles(IT) if one["metadata"]["name"].endswith(f"-{place}")]
    labels = role["metadata"]["labels"]
    assert labels[f"rbac.authorization.k8s.io/aggregate-to-{place}"] == "true"
    assert labels[f"rbac.authorization.kubeflow.org/aggregate-to-kubeflow-{place}"] == "true"
    first = role["rules"][0]
    assert {resource.plural for resource in DASK_RESOURCES} <= set(first["resources"])
    assert verb in first["verbs"]


def test_an_administrator_of_a_namespace_may_give_the_operator_its_rights():
    [role] = [one for one in deploy.make_user_roles(IT) if one["metadata"]["name"].endswith("-admin")]
    needed = (deploy.make_namespace_rights(IT, "team")[0], deploy.make_lease_rights(IT)[0])
    assert role["rules"] == [rule for each in needed for rule in each["rules"]]


def test_viewers_change_nothing():
    verbs = {verb for rule in rights.VIEWER_RULES for verb in rule.verbs}
    assert verbs == {"get", "list", "watch"}


def test_whoever_edits_does_not_write_status():
    assert not any("status" in resource for rule in rights.EDITOR_RULES for resource in rule.resources)


def test_what_is_kept_is_what_the_package_says():
    command = [sys.executable, str(ROOT / "scripts" / "make_deploy.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_flat_file_is_the_folders():
    flat = list(yaml.load_all((ROOT / "deploy/install.yaml").read_text(), yaml.CSafeLoader))
    folders = [
        one
        for path in ("shared/user-roles.yaml", "cluster/namespace.yaml", "cluster/operator.yaml")
        for one in yaml.safe_load_all((ROOT / "deploy" / path).read_text())
    ]
    assert flat == [*crds(), *folders]
