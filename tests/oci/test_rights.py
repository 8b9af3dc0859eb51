"""Rights and patterns of repository names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.errors import ParameterInvalid
from registry.oci.rights import Pattern, Right, parse_rights, words_of

PARTS = st.sampled_from(["**", "*", "a", "b", "a*", "*b", "a*b", "*a*", "*ab*a", "a.b", "a-*"])
PATTERNS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
NAMES = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6).map("/".join)


@given(st.integers(1, 31).map(Right))
def test_the_words_of_rights_say_them(rights: Right) -> None:
    assert parse_rights(words_of(rights)) == (Right.ALL if Right.ADMIN in rights else rights)


def test_push_is_to_create_and_to_update_and_an_admin_may_all() -> None:
    assert parse_rights(["create", "update"]) == parse_rights(["push"]) == Right.PUSH
    assert parse_rights(["admin"]) == Right.ALL
    assert words_of(Right.PULL | Right.PUSH) == ["pull", "push"]
    assert words_of(Right.CREATE | Right.DELETE) == ["create", "delete"]


@pytest.mark.parametrize("words", [[], [""], ["read"], ["pull", "PUSH"], ["*"], ["pull,push"]])
def test_what_are_no_rights(words: list[str]) -> None:
    with pytest.raises(ParameterInvalid):
        parse_rights(words)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("team/app", ["team/app"], ["team/app2", "team", "team/app/x", "xteam/app"]),
        ("team/*", ["team/app", "team/a.b"], ["team", "team/app/x", "teams/app"]),
        ("team/**", ["team/app", "team/app/x/y"], ["team", "teams/app", "a/team/app"]),
        ("**", ["a", "a/b/c"], []),
        ("**/app", ["a/app", "a/b/app"], ["app", "a/app/b", "a/xapp"]),
        ("a/**/z", ["a/b/z", "a/b/c/z"], ["a/z", "a/b/zz"]),
        ("**/**", ["a/b", "a/b/c"], ["a"]),
        ("team-*/**", ["team-a/b"], ["team-a", "team/b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*a*", ["a", "bab"], ["b", "a/b"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    parsed = Pattern.parse(pattern)
    assert [name for name in matching + others if parsed.matches(name)] == matching


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a//b", "a**", "**b", "***", "A", "a b", "a/../b\n", "a\n", "é"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ParameterInvalid):
        Pattern.parse(text)


def by_definition(pattern: str, name: str) -> bool:
    """Try every way to match."""
    expression = "/".join(
        ".+" if part == "**" else "[^/]*".join(map(re.escape, part.split("*"))) for part in pattern.split("/")
    )
    return re.fullmatch(expression, name) is not None


@given(PATTERNS, NAMES)
def test_looking_once_for_what_stands_between_wildcards_finds_the_same(pattern: str, name: str) -> None:
    assert Pattern.parse(pattern).matches(name) == by_definition(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("*-*-*-*-*-*-*-*-*-x", "-".join("a" * 120)), ("/".join(["**", "*a*a*"] * 6 + ["x"]), "/".join(["aaa"] * 60))],
)
def test_no_name_makes_a_pattern_try_for_ever(pattern: str, name: str) -> None:
    """To try every way would take longer than any test run waits."""
    assert not Pattern.parse(pattern).matches(name)
