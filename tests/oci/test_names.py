from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.errors import ManifestInvalid, NameInvalid
from registry.oci.names import RepositoryName, Tag

COMPONENT = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)


@given(st.lists(COMPONENT, min_size=1, max_size=6).map("/".join))
def test_a_name_is_read_as_it_is_written(text: str) -> None:
    assert str(RepositoryName.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["a/manifests", "tags/list", "a/blobs/uploads", "0", "a" * 255, "a__b/c-.".rstrip("-.")]
)
def test_names_that_look_like_end_points_are_names(text: str) -> None:
    assert str(RepositoryName.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a___b",
        "a..b",
        "-a",
        "a-",
        "a_/b",
        "_catalog",
        "a b",
        "a\n",
        "é",
        "a" * 256,
        "a%2fb",
    ],
)
def test_other_names_are_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(NameInvalid, match="lower-case letters and digits"):
        RepositoryName.parse(text)


@given(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True))
def test_a_tag_is_read_as_it_is_written(text: str) -> None:
    assert str(Tag.parse(text)) == text


@pytest.mark.parametrize("text", ["", ".a", "-a", "a/b", "a b", "a:b", "a" * 129, "a\n", "ä"])
def test_other_tags_are_refused(text: str) -> None:
    with pytest.raises(ManifestInvalid, match="128 characters"):
        Tag.parse(text)
