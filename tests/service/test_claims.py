from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.service.claims import ClaimRule, matches


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("main", ["main"], ["", "Main", "main ", "main\n", "xmain"]),
        ("acme/*", ["acme/app", "acme/"], ["acme", "acme/a/b", "xacme/app", "acme-x/app"]),
        ("*/app", ["acme/app", "/app"], ["a/b/app", "app"]),
        ("refs/tags/v*.*", ["refs/tags/v1.2", "refs/tags/v1.2.3"], ["refs/tags/v1", "refs/tags/v1/x.2"]),
        ("acme/**", ["acme/app", "acme/a/b/c", "acme/a\nb"], ["acme", "xacme/a"]),
        ("**/app", ["a/b/app", "/app"], ["app", "a/b/app/"]),
        ("**", ["", "a/b", "\n"], []),
        ("*", ["", "ab", "a\nb"], ["/", "a/b"]),
        ("a?b[c].d", ["a?b[c].d"], ["axb[c].d", "a?bc.d", "a?b[c]xd"]),
    ],
)
def test_a_pattern(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not matches(pattern, text)] == []
    assert [text for text in bad if matches(pattern, text)] == []


@given(st.text("ab/*", max_size=8), st.text("ab/\n", max_size=12))
def test_a_pattern_is_what_its_regular_expression_is(pattern: str, text: str) -> None:
    parts = {"*": "[^/]*"}
    expression = "".join(
        parts.get(part, ".*" if part.startswith("*") else re.escape(part)) for part in re.split(r"(\*+)", pattern)
    )
    assert matches(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


def test_no_text_makes_a_pattern_try_for_ever() -> None:
    """As a regular expression this one tries the 16,000 places of each star with each other."""
    assert not matches("*a" * 20 + "b", "a" * 16_000)
    assert not matches("**a" * 20 + "b", "a/" * 8_000)


@pytest.mark.parametrize(
    ("wanted", "claims", "mismatch"),
    [
        ({"a": "x"}, {"a": "x", "b": 1}, None),
        ({"a": ["x", "y*"]}, {"a": "yes"}, None),
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": False}, {"a": False}, None),
        ({"a": False}, {"a": 0}, "a"),
        ({"a": 0}, {"a": False}, "a"),
        ({"a": 0}, {}, "a"),
        ({"a": "x", "b": "y"}, {"a": "x", "b": "z"}, "b"),
        ({"a.b": {"c": {"d": "x"}}}, {"a.b": {"c": {"d": "x"}}}, None),
        ({"a.b": {"c": {"d": "x"}}}, {"a.b": {"c": {"d": "y"}}}, "a.b.c.d"),
        ({"a": {"b": "x"}}, {"a.b": "x"}, "a.b"),
        ({"a": {"b": "x", "c": "x"}}, {"a": {"b": "x"}}, "a.c"),
    ],
)
def test_a_rule(wanted: dict[str, Any], claims: dict[str, Any], mismatch: str | None) -> None:
    assert ClaimRule(wanted, frozenset()).find_mismatch(claims) == mismatch
