"""The grammar of scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.scopes import CATALOG, Scope, parse_scopes

WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" :,("), min_size=1, max_size=9)
ACTIONS = st.lists(WORDS, max_size=4, unique=True).map(tuple)
SCOPES = st.builds(Scope, WORDS, st.lists(WORDS, min_size=1, max_size=3).map(":".join), ACTIONS)


@given(SCOPES)
def test_a_scope_is_read_as_it_is_written(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(st.lists(SCOPES, max_size=5))
def test_scopes_in_one_text_and_in_many_are_the_same(scopes: list[Scope]) -> None:
    texts = [str(scope) for scope in scopes]
    assert parse_scopes(texts) == parse_scopes([" ".join(texts)]) == scopes


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    parse_scopes([text])


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("repository:a/b:pull", Scope("repository", "a/b", ("pull",))),
        ("repository:host:5000/a:pull,push", Scope("repository", "host:5000/a", ("pull", "push"))),
        ("repository(plugin):a:pull", Scope("repository", "a", ("pull",))),
        ("repository:a:pull,,pull,push,", Scope("repository", "a", ("pull", "push"))),
        ("repository:a:", Scope("repository", "a", ())),
        ("repository:a:*", Scope("repository", "a", ("*",))),
        ("registry:catalog:*", CATALOG),
        ("aws:x:y", Scope("aws", "x", ("y",))),
        ("", None),
        ("repository", None),
        ("repository:a", None),
        ("repository::pull", None),
        (":", None),
    ],
)
def test_what_is_a_scope(text: str, scope: Scope | None) -> None:
    assert Scope.parse(text) == scope
