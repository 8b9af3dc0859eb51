"""Names as an operator writes them."""

from __future__ import annotations

import pytest

from registry import issuer_settings
from registry.oci.errors import ParameterInvalid
from registry.service import subjects
from registry.service.subjects import parse_group, parse_member, parse_robot, parse_subject, parse_user


@pytest.mark.parametrize("name", ["a", "Alice", "a.b_c-d@example.org", "0", "x" * 128])
def test_users(name: str) -> None:
    assert parse_user(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 129,
        ".a",
        "-a",
        "@a",
        "a b",
        "a:b",
        "robot:a",
        "ä",
        "a\n",
        "a/b",
        "a*",
        "anonymous",
        "authenticated",
        "operator",
        "group",
        "robot",
    ],
)
def test_what_is_no_user(name: str) -> None:
    with pytest.raises(ParameterInvalid, match="no user's name"):
        parse_user(name)


@pytest.mark.parametrize("name", ["ci", "robot:ci", "0.a_b-c"])
def test_robots(name: str) -> None:
    assert parse_robot(name) == f"robot:{name.removeprefix('robot:')}"


@pytest.mark.parametrize("name", ["", "robot:", "Ci", "-ci", "a:b", "robot:robot:a", "x" * 129, "ci\n", "c@i"])
def test_what_is_no_robot(name: str) -> None:
    with pytest.raises(ParameterInvalid, match="no robot's name"):
        parse_robot(name)


@pytest.mark.parametrize("name", ["", "group:", ".x", "a b", "a:b", "x" * 65, "a@b"])
def test_what_is_no_group(name: str) -> None:
    with pytest.raises(ParameterInvalid, match="no group's name"):
        parse_group(name)


@pytest.mark.parametrize(
    "name", ["alice", "Bob Smith", "robot:ci", "group:Dev", "anonymous", "authenticated", "gh:repo:team/app:ref:x"]
)
def test_subjects(name: str) -> None:
    assert parse_subject(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " a",
        "a\n",
        "a\x1b[31m",
        "\u202ea",
        "x" * 1025,
        "operator",
        "robot:",
        "group:",
        "user:alice",
        "Gh:x",
        "gh:",
        ":x",
        "gh: x",
        "gh:\n",
        "-x:y",
        "robot:Ci",
        "group:a b",
    ],
)
def test_what_is_no_subject(name: str) -> None:
    with pytest.raises(ParameterInvalid) as raised:
        parse_subject(name)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["group:dev", "anonymous", "authenticated", "operator", ""])
def test_what_is_no_member(name: str) -> None:
    with pytest.raises(ParameterInvalid):
        parse_member(name)
    assert parse_member("robot:ci") == "robot:ci"


def test_the_settings_of_issuers_have_the_same_names() -> None:
    assert issuer_settings._RESERVED == subjects._NO_USERS | subjects._NO_ISSUERS
    assert (issuer_settings._NAME, issuer_settings._GROUP) == (subjects._ISSUER, subjects._GROUP)
