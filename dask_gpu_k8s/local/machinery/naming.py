"""What names, labels and annotations may look like, in Kubernetes' words.

Source: Kubernetes' documentation, "Object Names and IDs" and "Labels and Selectors". Each rule returns the
sentences that a name breaks; none if it is fine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dask_gpu_k8s.local.errors import Cause

Rule = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"


def _used(pattern: str, *examples: str) -> str:
    shown = ",  or ".join([f"'{example}'" for example in examples])
    return f"(e.g. {shown}, regex used for validation is '{pattern}')"


def subdomain(name: str) -> list[str]:
    """Check a DNS-1123 subdomain, the rule for most kinds."""
    wrong = ["must be no more than 253 bytes"] if len(name) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, name):
        wrong.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            f"and must start and end with an alphanumeric character {_used(_SUBDOMAIN, 'example.com')}"
        )
    return wrong


def label(name: str) -> list[str]:
    """Check a DNS-1123 label, the rule for namespaces and containers."""
    wrong = ["must be no more than 63 bytes"] if len(name) > 63 else []
    if not re.fullmatch(_LABEL, name):
        wrong.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            f"and must start and end with an alphanumeric character {_used(_LABEL, 'my-name', '123-abc')}"
        )
    return wrong


def dns1035(name: str) -> list[str]:
    """Check a DNS-1035 label, the rule for Services: a letter comes first."""
    wrong = ["must be no more than 63 bytes"] if len(name) > 63 else []
    if not re.fullmatch(_DNS1035, name):
        wrong.append(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
            "alphabetic character, and end with an alphanumeric character "
            f"{_used(_DNS1035, 'my-name', 'abc-123')}"
        )
    return wrong


def path_segment(name: str) -> list[str]:
    """Check what RBAC kinds are named by: anything that may stand in a URL's path."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{bad}'" for bad in "/%" if bad in name]


def _qualified(key: str) -> list[str]:
    prefix, slash, name = key.rpartition("/")
    wrong = []
    if slash and (not prefix or subdomain(prefix)):
        wrong.append("prefix part must be a DNS subdomain")
    if not name:
        wrong.append("name part must be non-empty")
    elif len(name) > 63:
        wrong.append("name part must be no more than 63 bytes")
    elif not re.fullmatch(_QUALIFIED, name):
        wrong.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
            f"an alphanumeric character {_used(_QUALIFIED, 'MyName', 'my.name', '123-abc')}"
        )
    return wrong


def label_value(value: str) -> list[str]:
    """Check the value of a label."""
    if len(value) > 63:
        return ["must be no more than 63 bytes"]
    if re.fullmatch(_LABEL_VALUE, value):
        return []
    return [
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
        "must start and end with an alphanumeric character "
        f"{_used(_LABEL_VALUE, 'MyValue', 'my_value', '12345')}"
    ]


def check_labels(labels: Mapping[str, str], path: str = "metadata.labels") -> list[Cause]:
    """Check the keys and values of labels."""
    causes = [Cause(path, f'Invalid value: "{key}": {text}') for key in labels for text in _qualified(key)]
    for value in labels.values():
        causes += [Cause(path, f'Invalid value: "{value}": {text}') for text in label_value(value)]
    return causes


def check_annotations(annotations: Mapping[str, str]) -> list[Cause]:
    """Check the keys of annotations, and their size in all."""
    path = "metadata.annotations"
    causes = [
        Cause(path, f'Invalid value: "{key}": {text}')
        for key in annotations
        for text in _qualified(key.lower())
    ]
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > 262144:
        causes.append(Cause(path, "Too long: may not be more than 262144 bytes", "FieldValueTooLong"))
    return causes
