"""The tables ``[[access.issuers]]``."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from registry import config
from registry.cli import main
from registry.policies import issuers_of
from registry.service.claims import ClaimRule
from registry.service.issuers import IssuerPolicy

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = """
[[access.issuers]]
name = "ci"
issuer = "https://ci.example.org"
audience = "https://registry.example.org"
keys = "https://ci.example.org/keys"
algorithms = ["RS256"]
"""
RULE = """
[[access.issuers.rules]]
claims = { repository = "acme/*" }
groups = ["builders"]
"""
SECOND = (ISSUER + RULE).replace('"ci"', '"second"').replace('"https://ci.example.org"', '"https://second"')


def load(tmp_path: Path, toml: str) -> tuple[IssuerPolicy, ...]:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return issuers_of(config.load(file, {})[0].access)


def refused(tmp_path: Path, toml: str) -> str:
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, toml)
    return str(caught.value)


def test_an_issuer_with_its_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == ()
    assert load(tmp_path, ISSUER + RULE) == (
        IssuerPolicy(
            name="ci",
            issuer="https://ci.example.org",
            audience=("https://registry.example.org",),
            keys="https://ci.example.org/keys",
            algorithms=("RS256",),
            rules=(ClaimRule({"repository": "acme/*"}, frozenset({"builders"})),),
            leeway_seconds=10,
        ),
    )


def test_an_issuer_with_everything(tmp_path: Path) -> None:
    toml = ISSUER.replace('"https://registry.example.org"', '["a", "b"]') + "leeway_seconds = 0\n"
    rule = """
    [[access.issuers.rules]]
    [access.issuers.rules.claims]
    ref = ["main", "v*"]
    protected = true
    number = 7
    fraction = 0.5
    "kubernetes.io".namespace = "ci"
    """
    first, second = load(tmp_path, toml + RULE + rule + SECOND)
    assert (first.audience, first.leeway_seconds, second.name) == (("a", "b"), 0, "second")
    assert first.rules[1] == ClaimRule(
        {"ref": ["main", "v*"], "protected": True, "number": 7, "fraction": 0.5, "kubernetes.io": {"namespace": "ci"}},
        frozenset(),
    )


@pytest.mark.parametrize(
    "keys",
    ["https://a/b?c=d", "HTTPS://a/", "http://127.0.0.1:8080/", "http://localhost/k", "http://[::1]/k", "/etc/k", "k"],
)
def test_where_keys_may_be(tmp_path: Path, keys: str) -> None:
    [issuer] = load(tmp_path, ISSUER.replace("https://ci.example.org/keys", keys) + RULE)
    assert issuer.keys == keys


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "http://ci.example.org/keys",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "http://127.0.0.1@example.org/",
        "http://0.0.0.0/",
        "https://",
        "https:///keys",
        "https:keys",
        "https://user:password@ci.example.org/",
        "https://ci.example.org:0/",
        "https://ci.example.org:70000/",
        "https://[::1/",
        "https://é.example.org/",
        "https://ci.example.org/a b",
        "https://ci.example.org/\\r\\nX: y",
        "//ci.example.org/keys",
        "file:///etc/keys",
        "ftp://127.0.0.1/",
        "a\\u0000b",
    ],
)
def test_where_keys_may_not_be(tmp_path: Path, keys: str) -> None:
    message = refused(tmp_path, ISSUER.replace("https://ci.example.org/keys", keys) + RULE)
    assert "config.toml: access.issuers[0].keys = " in message
    assert "expected an https:// URL (http:// on this machine only), or the path of a file" in message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('"ci"', '"CI"', ["[0].name = 'CI': expected a-z"]),
        ('"ci"', '"a:b"', ["[0].name = 'a:b'"]),
        ('"ci"', '""', ["[0].name = ''"]),
        ('"ci"', '"ci\\n"', ["[0].name"]),
        ('"ci"', '"robot"', ["[0].name = 'robot'", "not anonymous, authenticated, group, operator, robot, user"]),
        ('"ci"', "1", ["[0].name: expected `str`, got `int`"]),
        ('name = "ci"', "", ["access.issuers[0]: object missing required field `name`"]),
        ('name = "ci"', 'name = "ci"\nnames = 1', ["access.issuers[0]: object contains unknown field `names`"]),
        ('"https://ci.example.org"', '""', ["[0].issuer = '': expected the text of the claim iss"]),
        ('audience = "https://registry.example.org"', 'audience = ""', ["[0].audience = ''"]),
        ('audience = "https://registry.example.org"', "audience = []", ["[0].audience = []"]),
        ('audience = "https://registry.example.org"', 'audience = ["x", ""]', ["[0].audience = ['x', '']"]),
        ('["RS256"]', "[]", ["[0].algorithms = []: expected at least one of RS256, "]),
        ('["RS256"]', '["RS256", "HS256"]', ["[0].algorithms = ['RS256', 'HS256']"]),
        ('["RS256"]', '["none"]', ["[0].algorithms = ['none']"]),
        ('["RS256"]', '["rs256"]', ["[0].algorithms = ['rs256']"]),
        ('["RS256"]', '["ES256K"]', ["[0].algorithms"]),
        ('["RS256"]', '"RS256"', ["[0].algorithms: expected `array`, got `str`"]),
        ('["RS256"]', '["RS256"]\nleeway_seconds = -1', ["[0].leeway_seconds = -1: expected 0 to 300"]),
        ('["RS256"]', '["RS256"]\nleeway_seconds = 301', ["[0].leeway_seconds = 301"]),
        ('["RS256"]', '["RS256"]\nleeway_seconds = true', ["[0].leeway_seconds: expected `int`, got `bool`"]),
        (RULE, "", ["access.issuers[0]: object missing required field `rules`"]),
        (RULE, "rules = []", ["[0].rules = []: expected at least one rule"]),
        ('claims = { repository = "acme/*" }', "", ["rules[0]: object missing required field `claims`"]),
        ('{ repository = "acme/*" }', "{}", ["[0].rules[0].claims = {}: expected at least one claim"]),
        ('{ repository = "acme/*" }', "{ a = {} }", ["[0].rules[0].claims.a = {}: expected at least one claim"]),
        ('{ repository = "acme/*" }', "{ a = [] }", ["[0].rules[0].claims.a = []: expected a pattern"]),
        ('{ repository = "acme/*" }', "{ a = [1] }", ["[0].rules[0].claims.a = [1]"]),
        ('{ repository = "acme/*" }', "{ a = nan }", ["[0].rules[0].claims.a = nan"]),
        ('{ repository = "acme/*" }', '{ "a.b".c = 2020-01-01 }', ['[0].rules[0].claims."a.b".c = datetime']),
        ('["builders"]', '["a b"]', ["[0].rules[0].groups = ['a b']"]),
        ('["builders"]', '["group:a"]', ["[0].rules[0].groups = ['group:a']"]),
        ('["builders"]', '[""]', ["[0].rules[0].groups = ['']"]),
        ('["builders"]', '["builders"]\nrights = "all"', ["rules[0]: object contains unknown field `rights`"]),
        ("[[access.issuers]]", "[access.issuers]", ["access.issuers: expected `array`, got `object`"]),
    ],
)
def test_a_bad_setting_is_named_with_its_place(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    toml = ISSUER + RULE
    assert old in toml
    if new.startswith("[access.issuers]"):
        toml = ISSUER
    message = refused(tmp_path, toml.replace(old, new, 1))
    for part in ("config.toml: access.issuers", *parts):
        assert part in message


def test_two_issuers_differ_in_name_and_issuer(tmp_path: Path) -> None:
    same_name = SECOND.replace('"second"', '"ci"')
    assert "[1].name = 'ci': expected another one" in refused(tmp_path, ISSUER + RULE + same_name)
    same_issuer = SECOND.replace('"https://second"', '"https://ci.example.org"')
    assert "[1].issuer = 'https://ci.example.org': expected another" in refused(tmp_path, ISSUER + RULE + same_issuer)


def test_the_environment_has_no_place_for_tables() -> None:
    with pytest.raises(config.ConfigError, match=r"ACCESS__ISSUERS: access.issuers: .*tables \[\[access.issuers\]\]"):
        config.load(None, {"CARGOHOLD_ACCESS__ISSUERS": "https://ci.example.org"})


def test_what_is_shown_is_toml(tmp_path: Path) -> None:
    """With the same meaning as what was read."""
    file = tmp_path / "config.toml"
    file.write_text(
        ISSUER + "leeway_seconds = 10\n" + RULE.replace("{ repo", '{ "a.b".c = [true], repo').replace("[true]", "true")
    )
    shown = CliRunner().invoke(main, ["config", "show", "--config", str(file)])
    assert shown.exit_code == 0, shown.output
    assert tomllib.loads(shown.output)["access"]["issuers"] == tomllib.loads(file.read_text())["access"]["issuers"]
