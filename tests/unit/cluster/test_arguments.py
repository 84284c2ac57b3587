from __future__ import annotations

import re

import pytest

from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.errors import DaskClusterError, InvalidArgument, InvalidType

BAD = {
    # what is wrong: (arguments, error, message)
    "name with a dot": (
        {"name": "my.cluster"},
        InvalidArgument,
        "name: 'my.cluster' must start with a lower-case letter, end with a letter or digit, and hold only "
        "lower-case letters, digits and '-'",
    ),
    "name in upper case": ({"name": "Demo"}, InvalidArgument, "name: 'Demo' must start with a lower-case"),
    "name with a digit first": (
        {"name": "1abc"},
        InvalidArgument,
        "name: '1abc' must start with a lower-case",
    ),
    "name of 54 letters": (
        {"name": "a" * 54},
        InvalidArgument,
        f"name: '{'a' * 54}' is 54 characters long; at most 53 fit, because Service names end at 63",
    ),
    "name that is no string": ({"name": 3}, InvalidType, "name: must be a string, not int (3)"),
    "negative n_workers": ({"n_workers": -1}, InvalidArgument, "n_workers: must be at least 0, not -1"),
    "n_workers as text": (
        {"n_workers": "3"},
        InvalidType,
        "n_workers: must be a whole number, not str ('3')",
    ),
    "n_workers as bool": ({"n_workers": True}, InvalidType, "n_workers: must be a whole number"),
    "image of the wrong type": (
        {"image": ["ghcr.io/dask/dask"]},
        InvalidType,
        "image: must be a string such as 'ghcr.io/dask/dask:2026.8.0-py3.12', "
        "not list (['ghcr.io/dask/dask'])",
    ),
    "image with a blank": ({"image": "dask :1"}, InvalidArgument, "image: 'dask :1' is no image reference"),
    "empty image": ({"image": ""}, InvalidArgument, "image: '' is no image reference"),
    "resources of the wrong type": (
        {"resources": "1"},
        InvalidType,
        "resources: must be a mapping such as {'limits': {'nvidia.com/gpu': '1'}}, not str ('1')",
    ),
    "misspelt limits": (
        {"resources": {"limit": {"nvidia.com/gpu": "1"}}},
        InvalidArgument,
        "resources: 'limit' is no part of a container's resources (did you mean 'limits'?). "
        "Use 'limits' and 'requests'.",
    ),
    "limits that are no mapping": (
        {"resources": {"limits": 1}},
        InvalidType,
        "resources['limits']: must map resource names to quantities, not be int (1)",
    ),
    "a resource that is no quantity": (
        {"resources": {"limits": {"memory": "much"}}},
        InvalidArgument,
        "resources['limits']['memory']: 'much' is not a quantity",
    ),
    "a resource that is None": (
        {"resources": {"requests": {"cpu": None}}},
        InvalidArgument,
        "resources['requests']['cpu']: None is not a quantity",
    ),
    "scheduler_resources": (
        {"scheduler_resources": {"limits": {"memory": "4GB"}}},
        InvalidArgument,
        "scheduler_resources['limits']['memory']: '4GB' is not a quantity",
    ),
    "env of the wrong type": (
        {"env": "A=1"},
        InvalidType,
        "env: must be a mapping or a list of variables, not str ('A=1')",
    ),
    "env with None": (
        {"env": {"A": None}},
        InvalidType,
        "env['A']: must be text or a number, not None. "
        "For valueFrom give env as a list of Kubernetes' own variable objects.",
    ),
    "env list without a name": (
        {"env": [{"value": "1"}]},
        InvalidType,
        "env[0]: must be a mapping such as {'name': 'A', 'value': '1'}, not {'value': '1'}",
    ),
    "empty worker_command": (
        {"worker_command": "  "},
        InvalidArgument,
        "worker_command: is empty. Name the program, e.g. 'dask worker'.",
    ),
    "unfinished quote in worker_command": (
        {"worker_command": "dask worker 'a"},
        InvalidArgument,
        'worker_command: "dask worker \'a" cannot be split (No closing quotation)',
    ),
    "worker_command of the wrong type": (
        {"worker_command": ["dask", 1]},
        InvalidType,
        "worker_command: must be a string or a list of strings, not list (['dask', 1])",
    ),
    "service type": (
        {"scheduler_service_type": "NodePorts"},
        InvalidArgument,
        "scheduler_service_type: 'NodePorts' is no type of Service (did you mean 'NodePort'?). "
        "Use one of ClusterIP, NodePort, LoadBalancer.",
    ),
    "negative idle_timeout": (
        {"idle_timeout": -5},
        InvalidArgument,
        "idle_timeout: must be at least 0, not -5",
    ),
    "options of the wrong type": (
        {"worker_options": ["a"]},
        InvalidType,
        "worker_options: must be PodOptions or a mapping, not list",
    ),
    "misspelt option": (
        {"worker_options": {"node_selctor": {}}},
        InvalidArgument,
        "worker_options: there is no option 'node_selctor' (did you mean 'node_selector'?). Options are",
    ),
    "option as text": (
        {"scheduler_options": {"tolerations": "all"}},
        InvalidType,
        "scheduler_options['tolerations']: must be a list, not 'all'",
    ),
    "labels that are no strings": (
        {"worker_options": {"labels": {"team": 1}}},
        InvalidType,
        "worker_options['labels']: must map strings to strings, not 'team' to 1",
    ),
    "a name that is no string": (
        {"worker_options": {"priority_class": 1}},
        InvalidType,
        "worker_options['priority_class']: must be a string, not 1",
    ),
    "a toleration that is no mapping": (
        {"worker_options": {"tolerations": ["gpu"]}},
        InvalidType,
        "worker_options['tolerations'][0]: 'gpu' cannot stand here",
    ),
    "affinity that is no mapping": (
        {"worker_options": {"affinity": "node"}},
        InvalidType,
        "worker_options['affinity']: must be a mapping, not 'node'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    arguments, error, message = BAD[case]
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        make_cluster_spec(**{"name": "demo", "image": "dask", **arguments})


@pytest.mark.parametrize("case", BAD)
def test_the_error_says_where(case):
    arguments, *_ = BAD[case]
    with pytest.raises(DaskClusterError) as caught:
        make_cluster_spec(**{"name": "demo", "image": "dask", **arguments})
    (argument,) = arguments
    assert caught.value.where.startswith(argument)
