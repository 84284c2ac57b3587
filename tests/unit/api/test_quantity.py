from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.api.quantity import QUANTITY_PATTERN, canonical, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1), ("500m", "0.5"), ("0.5", "0.5"), (".5", "0.5"), ("2.", 2), ("+3", 3), ("-1", -1),
        ("1k", 1000), ("4Gi", 4 * 2**30), ("1.5Ki", 1536), ("1e3", 1000), ("12E-1", "1.2"),
        ("2E", 2 * 10**18),
        ("100n", "1e-7"), ("7u", "7e-6"), (1, 1), (0.1, "0.1"),
    ],
)  # fmt: skip
def test_what_a_quantity_is_worth(text, number):
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "4 cores", "1Kii", "Gi", "1.2.3", "0x10", "1e", "nan", True, None, [1]])
def test_what_is_no_quantity_is_said_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"is not a quantity: .*'4Gi'"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (1, "1"), ("0.5", "500m"), (0.25, "250m"), ("1.5Gi", "1536Mi"), ("1024Mi", "1Gi"), ("1000", "1k"),
        ("1e3", "1k"), ("0", "0"), ("0Gi", "0"), ("1500m", "1500m"), ("0.5Ki", "512"), ("0.1n", "1n"),
    ],
)  # fmt: skip
def test_the_canonical_form_is_kubernetes_own(written, stored):
    assert canonical(written) == stored


@given(st.decimals(min_value=0, max_value=10**15, places=6))
def test_writing_and_reading_agree(number):
    text = format_quantity(number)
    assert parse_quantity(text) == number
    assert re.match(QUANTITY_PATTERN, text)


@given(
    st.from_regex(QUANTITY_PATTERN.replace("$", r"\Z"), fullmatch=True).filter(
        lambda text: "e" not in text.lower()
    )
)
def test_the_pattern_and_the_parser_take_the_same_texts(text):
    parse_quantity(text)
