from __future__ import annotations

import pytest

from dask_gpu_k8s.api.keywords import RULES


@pytest.mark.parametrize(
    ("keyword", "says", "good", "bad"),
    [
        ("enum", ["a", "b"], ["a", "b"], ["c", 1]),
        ("pattern", "^a+$", ["a", "aaa", 7], ["", "ab", "a\n"]),
        ("pattern", r"\$$", ["a$"], ["a"]),
        ("format", "int32", [0, 2**31 - 1, "x"], [2**31]),
        ("format", "int64", [2**63 - 1], [2**63]),
        (
            "format",
            "date-time",
            ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"],
            ["yesterday", ""],
        ),
        ("format", "byte", ["", "aGVsbG8=", "aGVs\nbG8="], ["%", "abc"]),
        ("format", "never-heard-of", ["x", 1], []),
        ("minimum", 0, [0, 1, "x", True], [-1, -0.5]),
        ("maximum", 9, [9, 8], [10]),
        ("multipleOf", 3, [9, 0], [10]),
        ("minLength", 1, ["a", 0], [""]),
        ("maxLength", 2, ["ab", [1, 2, 3]], ["abc"]),
        ("minItems", 1, [[1]], [[]]),
        ("maxItems", 1, [[1], "abc"], [[1, 2]]),
        ("minProperties", 1, [{"a": 1}], [{}]),
        ("maxProperties", 1, [{"a": 1}], [{"a": 1, "b": 2}]),
    ],
)
def test_keyword(keyword, says, good, bad):
    assert [value for value in good if RULES[keyword](says, value) is not None] == []
    assert [value for value in bad if RULES[keyword](says, value) is None] == []
