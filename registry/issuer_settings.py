"""Settings of the issuers whose tokens are accepted: the tables ``[[access.issuers]]``."""

from __future__ import annotations

import re
from ipaddress import ip_address
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: whoever can verify a token must not be able to make one."""

LARGEST_LEEWAY_SECONDS = 300

# As service.subjects has them, which settings can't import; its tests compare them.
_RESERVED = {"anonymous", "authenticated", "group", "operator", "robot", "user"}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``claims`` has the shape of the token's claims, with patterns, lists of patterns, numbers and truths in it."""

    claims: dict[str, Any]
    groups: list[str] = []


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``keys`` is an ``https://`` URL (or an ``http://`` one on this machine), or the path of a file."""

    name: str
    issuer: str
    audience: str | list[str]
    keys: str
    algorithms: list[str]
    rules: list[RuleSettings]
    leeway_seconds: int = 10


def convert(value: Any) -> list[dict[str, Any]]:
    """The tables with their defaults. Raises ValueError, whose text begins with the place: ``[0].name = 1: ...``."""
    try:
        issuers = msgspec.convert(value, list[IssuerSettings])
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at `$")
        where = place.removesuffix("`")
        raise ValueError(f"{where}: {fault[:1].lower()}{fault[1:]}; expected tables [[access.issuers]]") from None
    for where, found, expected in _faults(issuers):
        raise ValueError(f"{where} = {found!r}: expected {expected}")
    tables: list[dict[str, Any]] = msgspec.to_builtins(issuers)
    return tables


def _faults(issuers: list[IssuerSettings]) -> Iterator[tuple[str, Any, str]]:
    """Place, value and what is expected, of each value that can't be used."""
    for position, issuer in enumerate(issuers):
        for field, is_good, expected in _CHECKS:
            if not is_good(getattr(issuer, field)):
                yield f"[{position}].{field}", getattr(issuer, field), expected
        for field in ("name", "issuer"):
            if getattr(issuer, field) in {getattr(earlier, field) for earlier in issuers[:position]}:
                yield f"[{position}].{field}", getattr(issuer, field), "another one than in the tables before"
        for number, rule in enumerate(issuer.rules):
            yield from _faults_of_rule(rule, f"[{position}].rules[{number}]")


def _faults_of_rule(rule: RuleSettings, where: str) -> Iterator[tuple[str, Any, str]]:
    if not all(map(_GROUP.fullmatch, rule.groups)):
        yield f"{where}.groups", rule.groups, "names of letters, digits, '.', '_' and '-', at most 64 characters each"
    yield from _faults_of_claims(rule.claims, f"{where}.claims")


def _faults_of_claims(claims: dict[str, Any], where: str) -> Iterator[tuple[str, Any, str]]:
    if not claims:
        yield where, claims, 'at least one claim (every token of the issuer would match; to say so: sub = "**")'
    for name, value in claims.items():
        place = f"{where}.{name}" if re.fullmatch(r"[\w-]+", name) else f'{where}."{name}"'
        if isinstance(value, dict):
            yield from _faults_of_claims(value, place)
        elif not (isinstance(value, str | bool | int) or _is_texts(value) or _is_finite(value)):
            yield place, value, "a pattern, a list of patterns, a number, true or false, or a table of these"


def _is_texts(value: Any) -> bool:
    """Whether it is a list of texts with something in it, and in each."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and isfinite(value)


def _is_source(keys: str) -> bool:
    """Whether it is a path, or a URL whose answer nobody on the way can change."""
    try:
        parts = urlsplit(keys)
        if not parts.scheme and not keys.startswith("//"):
            return bool(keys) and "\0" not in keys
        is_plain = keys.isascii() and keys.isprintable() and " " not in keys and "@" not in parts.netloc
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        return is_plain and is_safe and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ip_address(host).is_loopback


_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "name",
        lambda name: _NAME.fullmatch(name) is not None and name not in _RESERVED,
        f"a-z, 0-9 and '-', at most 32 characters, beginning with a letter, and not {', '.join(sorted(_RESERVED))}",
    ),
    ("issuer", bool, "the text of the claim iss"),
    ("audience", lambda audience: _is_texts([audience] if isinstance(audience, str) else audience), "a text, or some"),
    ("keys", _is_source, "an https:// URL (http:// on this machine only), or the path of a file"),
    (
        "algorithms",
        lambda algorithms: bool(algorithms) and set(algorithms) <= set(ALGORITHMS),
        f"at least one of {', '.join(ALGORITHMS)}",
    ),
    ("leeway_seconds", lambda seconds: 0 <= seconds <= LARGEST_LEEWAY_SECONDS, f"0 to {LARGEST_LEEWAY_SECONDS}"),
    ("rules", bool, "at least one rule (a token that matches none is refused)"),
)
