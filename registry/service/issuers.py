"""Tokens that others issue: JSON Web Tokens of CI systems, clusters and identity providers.

Default closed: ``iss`` decides which issuer's keys, algorithms and rules count, and nothing in a token chooses anything
else. Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (JWT best current practices).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.oci.strict_json import loads_object
from registry.service.key_sets import KeySet
from registry.service.principals import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.service.claims import ClaimRule
    from registry.service.key_sets import Key
    from registry.store.hops import Hops

LIMIT_BYTES = 16 * 1024

_LAST_MOMENT = 253402300799
"""The end of the year 9999, in seconds."""

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = {"jwt", "at+jwt"}


class TokenRefused(Exception):
    """The token is worth nothing here. ``reason`` is for the log: whoever sent the token must not learn it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class IssuerPolicy:
    """One issuer that the operator trusts. ``keys`` is a URL, or the path of a file."""

    name: str
    issuer: str
    audience: tuple[str, ...]
    keys: str
    algorithms: tuple[str, ...]
    rules: tuple[ClaimRule, ...]
    leeway_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token is for: ``name`` is ``ISSUER:SUBJECT``, and no name of an issuer holds a colon."""

    name: str
    groups: frozenset[str]
    expires_ms: int
    """Wall time at which the token is refused, leeway included."""


def looks_like_jwt(text: str) -> bool:
    """Whether it can be nothing else: three parts, of which the first is the beginning of a JSON object in base64."""
    return text.startswith("eyJ") and text.count(".") == 2


class Issuers:
    def __init__(self, policies: Iterable[IssuerPolicy], hops: Hops) -> None:
        self._hops = hops
        self._issuers: dict[str, tuple[IssuerPolicy, KeySet]] = {}
        self.follow(policies)

    def follow(self, policies: Iterable[IssuerPolicy]) -> None:
        """Trust these, and no others. Keys that were read stay good where they come from the same place."""
        known = {(policy.name, policy.keys): keys for policy, keys in self._issuers.values()}
        self._issuers = {
            policy.issuer: (
                policy,
                known.get((policy.name, policy.keys)) or KeySet(policy.name, policy.keys, self._hops),
            )
            for policy in policies
        }

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._issuers)

    def is_configured(self, name: str) -> bool:
        """Whether an issuer has the name with which the names of its principals begin."""
        return any(policy.name == name for policy, _ in self._issuers.values())

    async def verify(self, token: str) -> Identity:
        """Raises TokenRefused. A cancellation leaves nothing behind, and may have to wait for keys being read."""
        header, claims = _read(token)
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise TokenRefused(f"unknown issuer {_shown(issuer)}")
        policy, keys = self._issuers[issuer]
        algorithm, key_id = _check_header(header, policy)
        key = await keys.find(key_id)
        if key is None or not key.fits(algorithm):
            raise TokenRefused(f"{policy.name} has no key {_shown(key_id)} for {algorithm}")
        _check_moments(claims)
        _check_signature_and_claims(token, key, algorithm, policy)
        return Identity(
            f"{policy.name}:{_subject(claims)}",
            _groups(claims, policy),
            (claims["exp"] + policy.leeway_seconds) * 1000,
        )


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, of which nothing is to be believed yet."""
    if len(token) > LIMIT_BYTES:
        raise TokenRefused(f"more than {LIMIT_BYTES} bytes")
    if not _FORM.fullmatch(token):
        raise TokenRefused("not three parts in base64url")
    header, claims, _ = map(_decode, token.split("."))
    try:
        return loads_object(header), loads_object(claims)
    except ValueError as error:
        raise TokenRefused(f"header or claims: {error}") from None


def _decode(part: str) -> bytes:
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise TokenRefused("not base64url") from None
    if base64.urlsafe_b64encode(content).rstrip(b"=") != part.encode():
        raise TokenRefused("not the one way to write it in base64url")
    return content


def _check_header(header: dict[str, Any], policy: IssuerPolicy) -> tuple[str, str]:
    """Algorithm and id of the key. ``jku``, ``jwk``, ``x5u`` and ``x5c`` are not looked at: a token names no key."""
    if "crit" in header or "b64" in header:
        raise TokenRefused("its header asks for an extension")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefused(f"a token of another type: {_shown(kind)}")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in policy.algorithms:
        raise TokenRefused(f"{policy.name} does not sign with {_shown(algorithm)}")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise TokenRefused("it does not name its key")
    return algorithm, key_id


def _check_moments(claims: dict[str, Any]) -> None:
    """Whole seconds, where other forms could be read as other moments (RFC 7519, section 4.1)."""
    for name in ("exp", "nbf", "iat"):
        moment = claims.get(name)
        if name in claims and not (type(moment) is int and 0 <= moment <= _LAST_MOMENT):
            raise TokenRefused(f"{name} is no moment: {_shown(moment)}")


def _check_signature_and_claims(token: str, key: Key, algorithm: str, policy: IssuerPolicy) -> None:
    import jwt  # noqa: PLC0415 (on use: loaded with the keys, in a thread)

    try:
        jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            audience=policy.audience,
            issuer=policy.issuer,
            leeway=policy.leeway_seconds,
            options={"require": ["aud", "exp", "iss", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise TokenRefused(f"{policy.name}: {error}") from None


def _subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not is_name(subject):
        raise TokenRefused(f"sub can't be a name: {_shown(subject)}")
    return subject


def _groups(claims: dict[str, Any], policy: IssuerPolicy) -> frozenset[str]:
    """The groups of all rules that the token matches."""
    mismatches = [rule.find_mismatch(claims) for rule in policy.rules]
    matched = [rule.groups for rule, mismatch in zip(policy.rules, mismatches, strict=True) if mismatch is None]
    if not matched:
        raise TokenRefused(f"no rule of {policy.name} matches: {', '.join(map(str, mismatches))}")
    return frozenset().union(*matched)


def _shown(value: Any) -> str:
    """What a stranger sent, in a log."""
    return repr(value)[:100]
