"""The operator's rights are the fewest: without any of them a story fails that passes with it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from dask_gpu_k8s.api import deploy, rights
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from dask_gpu_k8s.api.resources import LEASE, NAMESPACE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from tests.clusters import REAL
from tests.e2e.deploy import stories
from tests.e2e.deploy.stories import STORIES, UNSEEN, Stage, StepFailed

pytestmark = pytest.mark.only(REAL, "LocalKubernetes enforces no Roles")

CLUSTER_ROLE = Resource(deploy.RBAC, "v1", "clusterroles", "ClusterRole", "clusterrole", namespaced=False)
REVIEW = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", "subjectaccessreview",
    namespaced=False,
)  # fmt: skip
ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{deploy.CHART}"
Right = tuple[str, str, str]
RULES = (*rights.OPERATOR_RULES, *rights.CLUSTER_RULES)
ALL: list[Right] = [
    (rule.group, resource, verb) for rule in RULES for resource in rule.resources for verb in rule.verbs
]


ROLE = Resource(deploy.RBAC, "v1", "roles", "Role", "role")
LEASE_ROLE = f"{deploy.CHART}-lease"


async def test_the_rights_to_its_lease_in_its_own_namespace_suffice(stage: Stage):
    """Nothing here shows `get`, which the ClusterRole has for another reason; with Roles it is needed."""
    assert {verb for rule in rights.LEASE_RULES for verb in rule.verbs} == {"create", "get", "patch"}
    await stories.starts_and_comes_up(stage)


@pytest.mark.parametrize("missing", ["create", "patch"])
async def test_without_its_lease_the_operator_does_not_work(stage: Stage, missing: str):
    role = await stage.kube.get(ROLE, LEASE_ROLE, OPERATOR_NAMESPACE)
    [rule] = role["rules"]
    fewer = {**role, "rules": [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != missing]}]}
    stage.restarted = True
    await stage.kube.replace(ROLE, fewer)
    try:
        await stage.kube.delete(LEASE, deploy.CHART, OPERATOR_NAMESPACE)
        if missing == "patch":
            await stories.starts(stage)
        with pytest.raises(StepFailed):
            await stories.starts_and_comes_up(stage)
    finally:
        there = await stage.kube.get(ROLE, LEASE_ROLE, OPERATOR_NAMESPACE)
        await stage.kube.replace(ROLE, {**there, "rules": [rule]})


def test_each_right_has_a_story_or_a_reason():
    assert {(resource, verb) for _, resource, verb in ALL} == STORIES.keys() | UNSEEN.keys()
    assert not STORIES.keys() & UNSEEN.keys()


@pytest.fixture
async def stage(installed: Path) -> AsyncIterator[Stage]:
    """Give the test a namespace of its own; afterwards the operator has all its rights and runs."""
    async with KubeClient.connect(installed) as kube:
        made = await kube.create(NAMESPACE, {"metadata": {"generateName": "rights-"}})
        stage = Stage(kube, made["metadata"]["name"], OPERATOR_NAMESPACE)
        await stage.listen()
        yield stage
        await set_rules(stage, rights.role_rules(RULES), ALL)
        if stage.restarted:
            # It began with too few rights, and may wait for a while before it tries again.
            await stories.starts(stage)
        await kube.delete(NAMESPACE, stage.namespace)


async def allow(stage: Stage, wanted: Sequence[Right]) -> None:
    """Give the operator these rights and no others."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in wanted
    ]
    await set_rules(stage, rules, wanted)


async def set_rules(stage: Stage, rules: list[Manifest], wanted: Sequence[Right]) -> None:
    """Write the operator's role, and wait until the API server goes by it."""
    role = await stage.kube.get(CLUSTER_ROLE, deploy.CHART)
    await stage.kube.replace(CLUSTER_ROLE, {**role, "rules": rules})
    for right in ALL:
        while await _is_allowed(stage, right) != (right in wanted):
            pass


async def _is_allowed(stage: Stage, right: Right) -> bool:
    group, resource, verb = right
    name, _, sub = resource.partition("/")
    asked = {"group": group, "resource": name, "subresource": sub, "verb": verb, "namespace": stage.namespace}
    review = {"metadata": {}, "spec": {"user": ACCOUNT, "resourceAttributes": asked}}
    answer: Manifest = await stage.kube.create(REVIEW, review)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize("story", sorted(set(STORIES.values()), key=lambda story: story.__name__))
async def test_all_stories_pass_with_all_rights(stage: Stage, story):
    await story(stage)


ADMISSION = {
    ("daskautoscalers", "delete"),
    ("daskworkergroups", "delete"),
    *((resource, verb) for _, resource, verb in ALL if resource.endswith("/finalizers")),
}
"""Rights that only an admission plug-in asks for."""

SEEN = [right for right in ALL if right[1:] in STORIES]


@pytest.mark.parametrize("missing", SEEN, ids=lambda right: f"{right[2]} {right[1]}")
async def test_a_story_fails_without(stage: Stage, missing: Right, record_property):
    start = time.monotonic()
    story = STORIES[missing[1:]]
    await allow(stage, [right for right in ALL if right != missing])
    try:
        await story(stage)
    except StepFailed as failure:
        taken, seconds = f"{missing[2]} {missing[1]}", time.monotonic() - start
        line = (
            f"without the right {taken:36} {story.__name__:20} fails in {seconds:4.1f} s at: {failure.step}"
        )
        record_property("note", line)
        return
    if missing[1:] in ADMISSION and os.environ.get("DASK_K8S_E2E_KUBECONFIG"):
        pytest.skip("this cluster runs without OwnerReferencesPermissionEnforcement")
    pytest.fail(f"{story.__name__} passes")
