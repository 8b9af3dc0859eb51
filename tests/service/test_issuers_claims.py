"""Attacks by what is claimed, in tokens that a good key has signed. Each is refused for its own reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from registry.service.claims import ClaimRule
from registry.service.issuers import Issuers, TokenRefused
from registry.service.principals import RESERVED, ROBOT_PREFIX
from registry.store.hops import Hops
from tests.tools.jwts import ABSENT, AUDIENCE, ISSUER, claims, key_set, make, policy, signer

if TYPE_CHECKING:
    from pathlib import Path

KEY = signer("good-P-256", "P-256")
NOW = int(time.time())
NO_MOMENT, EXPIRED, TOO_EARLY, NO_NAME = "is no moment", "expired", "not yet valid", "sub can't be a name"
NO_AUDIENCE, NO_FORM, UNKNOWN = "udience", "Invalid claim format", "unknown issuer"

MOMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": NOW - 60}, EXPIRED),
    "expired at the beginning of time": ({"exp": 0}, EXPIRED),
    "no exp": ({"exp": ABSENT}, 'missing the "exp" claim'),
    "exp null": ({"exp": None}, NO_MOMENT),
    "exp a text": ({"exp": str(NOW + 600)}, NO_MOMENT),
    "exp a date": ({"exp": "2999-01-01T00:00:00Z"}, NO_MOMENT),
    "exp a fraction": ({"exp": NOW + 600.5}, NO_MOMENT),
    "exp a float": ({"exp": 1e11}, NO_MOMENT),
    "exp negative": ({"exp": -1}, NO_MOMENT),
    "exp in milliseconds": ({"exp": (NOW + 600) * 1000}, NO_MOMENT),
    "exp huge": ({"exp": 10**18}, NO_MOMENT),
    "exp larger than any integer": ({"exp": 10**30}, "more than 19 digits"),
    "exp true": ({"exp": True}, NO_MOMENT),
    "exp a list": ({"exp": [NOW + 600]}, NO_MOMENT),
    "exp an object": ({"exp": {"": NOW + 600}}, NO_MOMENT),
    "nbf in the future": ({"nbf": NOW + 3600}, TOO_EARLY),
    "nbf a text": ({"nbf": "0"}, NO_MOMENT),
    "nbf null": ({"nbf": None}, NO_MOMENT),
    "nbf negative": ({"nbf": -1}, NO_MOMENT),
    "iat in the future": ({"iat": NOW + 3600}, TOO_EARLY),
    "iat a text": ({"iat": "x"}, NO_MOMENT),
    "iat a fraction": ({"iat": 0.5}, NO_MOMENT),
}
AUDIENCES: dict[str, tuple[dict[str, Any], str]] = {
    "no aud": ({"aud": ABSENT}, 'missing the "aud" claim'),
    "aud null": ({"aud": None}, 'missing the "aud" claim'),
    "aud empty": ({"aud": ""}, 'missing the "aud" claim'),
    "aud an empty list": ({"aud": []}, 'missing the "aud" claim'),
    "aud another": ({"aud": "https://elsewhere.example.org"}, NO_AUDIENCE),
    "aud others": ({"aud": ["https://elsewhere.example.org", "x"]}, NO_AUDIENCE),
    "aud a prefix": ({"aud": AUDIENCE[:-1]}, NO_AUDIENCE),
    "aud with a slash after it": ({"aud": f"{AUDIENCE}/"}, NO_AUDIENCE),
    "aud that goes on": ({"aud": f"{AUDIENCE}.evil.example"}, NO_AUDIENCE),
    "aud in another case": ({"aud": AUDIENCE.upper()}, NO_AUDIENCE),
    "aud and a newline": ({"aud": f"{AUDIENCE}\n"}, NO_AUDIENCE),
    "aud a pattern": ({"aud": "*"}, NO_AUDIENCE),
    "aud an object": ({"aud": {AUDIENCE: AUDIENCE}}, NO_FORM),
    "aud a list in a list": ({"aud": [[AUDIENCE]]}, NO_FORM),
    "aud a list with a number": ({"aud": [AUDIENCE, 1]}, NO_FORM),
    "aud true": ({"aud": True}, NO_FORM),
    "aud of two in one text": ({"aud": f"{AUDIENCE} x"}, NO_AUDIENCE),
}
ISSUERS: dict[str, tuple[dict[str, Any], str]] = {
    "no iss": ({"iss": ABSENT}, UNKNOWN),
    "iss null": ({"iss": None}, UNKNOWN),
    "iss empty": ({"iss": ""}, UNKNOWN),
    "iss a list": ({"iss": [ISSUER]}, UNKNOWN),
    "iss an object": ({"iss": {}}, UNKNOWN),
    "iss with a slash after it": ({"iss": f"{ISSUER}/"}, UNKNOWN),
    "iss in another case": ({"iss": "https://CI.example.org"}, UNKNOWN),
    "iss that goes on": ({"iss": f"{ISSUER}.evil.example"}, UNKNOWN),
    "iss a prefix": ({"iss": ISSUER[:-1]}, UNKNOWN),
    "iss with a port": ({"iss": f"{ISSUER}:443"}, UNKNOWN),
    "iss without TLS": ({"iss": ISSUER.replace("https", "http")}, UNKNOWN),
    "iss and a space": ({"iss": f"{ISSUER} "}, UNKNOWN),
    "iss the short name": ({"iss": "ci"}, UNKNOWN),
    "iss with a letter that looks the same": ({"iss": ISSUER.replace("c", "\u0441", 1)}, UNKNOWN),
    "iss half a surrogate pair": ({"iss": "\ud800"}, UNKNOWN),
}
SUBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "no sub": ({"sub": ABSENT}, 'missing the "sub" claim'),
    "sub null": ({"sub": None}, 'missing the "sub" claim'),
    "sub empty": ({"sub": ""}, NO_NAME),
    "sub a number": ({"sub": 1}, "must be a string"),
    "sub a list": ({"sub": ["x"]}, "must be a string"),
    "sub an object": ({"sub": {"x": 1}}, "must be a string"),
    "sub a newline": ({"sub": "a\nb"}, NO_NAME),
    "sub a null byte": ({"sub": "a\0"}, NO_NAME),
    "sub an escape": ({"sub": "a\x1b[2J"}, NO_NAME),
    "sub a tab": ({"sub": "a\tb"}, NO_NAME),
    "sub a line separator": ({"sub": "a\u2028b"}, NO_NAME),
    "sub right to left": ({"sub": "a\u202eb"}, NO_NAME),
    "sub a space of no width": ({"sub": "a\u200bb"}, NO_NAME),
    "sub a space that does not break": ({"sub": "a\u00a0b"}, NO_NAME),
    "sub half a surrogate pair": ({"sub": "\ud800"}, NO_NAME),
    "sub a space in front": ({"sub": " admin"}, NO_NAME),
    "sub a space after it": ({"sub": "admin "}, NO_NAME),
    "sub a space": ({"sub": " "}, NO_NAME),
    "sub too long": ({"sub": "x" * 1025}, NO_NAME),
    "jti a number": ({"jti": 1}, "must be a string"),
}
RULES: dict[str, tuple[dict[str, Any], str]] = {
    "no claim": ({"repository": ABSENT}, "repository"),
    "null": ({"repository": None}, "repository"),
    "a newline after it": ({"ref": "refs/heads/main\n"}, "ref"),
    "a newline in front": ({"ref": "\nrefs/heads/main"}, "ref"),
    "the right line among others": ({"ref": "x\nrefs/heads/main\nx"}, "ref"),
    "a prefix": ({"ref": "refs/heads/mai"}, "ref"),
    "something after it": ({"ref": "refs/heads/main2"}, "ref"),
    "something in front": ({"ref": "xrefs/heads/main"}, "ref"),
    "a null byte after it": ({"ref": "refs/heads/main\0"}, "ref"),
    "another case": ({"ref": "refs/heads/Main"}, "ref"),
    "a letter that looks the same": ({"ref": "refs/heads/m\u0430in"}, "ref"),
    "a letter that folds to the same": ({"repository": "acme\u200d/app"}, "repository"),
    "before the pattern": ({"repository": "evil-acme/app"}, "repository"),
    "longer than the owner": ({"repository": "acme-evil/app"}, "repository"),
    "one level more": ({"repository": "acme/evil/app"}, "repository"),
    "two levels": ({"repository": "evil/acme/app"}, "repository"),
    "the owner in another case": ({"repository": "Acme/app"}, "repository"),
    "a list with what is wanted": ({"repository": ["acme/app"]}, "repository"),
    "an object with what is wanted": ({"repository": {"acme/app": "acme/app"}}, "repository"),
    "a text for a truth": ({"protected": "true"}, "protected"),
    "one for a truth": ({"protected": 1}, "protected"),
    "false": ({"protected": False}, "protected"),
    "a truth for a number": ({"number": True}, "number"),
    "a text for a number": ({"number": "7"}, "number"),
    "another number": ({"number": 7.0000001}, "number"),
    "a list for a number": ({"number": [7]}, "number"),
    "a dotted key for nested ones": (
        {"kubernetes.io": ABSENT, "kubernetes.io.namespace": "ci"},
        "kubernetes.io.namespace",
    ),
    "nested keys for a dotted one": (
        {"kubernetes.io": ABSENT, "kubernetes": {"io": {"namespace": "ci"}}},
        "kubernetes.io.namespace",
    ),
    "both of them": (
        {"kubernetes.io": {"namespace": "x"}, "kubernetes.io.namespace": "ci", "namespace": "ci"},
        "kubernetes.io.namespace",
    ),
    "a text for an object": ({"kubernetes.io": "ci"}, "kubernetes.io.namespace"),
    "a list for an object": ({"kubernetes.io": [{"namespace": "ci"}]}, "kubernetes.io.namespace"),
    "an empty object": ({"kubernetes.io": {}}, "kubernetes.io.namespace"),
    "none of the list": ({"kubernetes.io": {"namespace": "ci2"}}, "kubernetes.io.namespace"),
    "the list as a text": ({"kubernetes.io": {"namespace": "['ci', 'release-*']"}}, "kubernetes.io.namespace"),
    "its own rules": ({"repository": "x", "rules": [{"groups": ["builders"]}], "groups": ["builders"]}, "repository"),
}
ALL = {
    **MOMENTS,
    **AUDIENCES,
    **ISSUERS,
    **SUBJECTS,
    **{f"rule: {name}": (changes, f"no rule of ci matches: {path}") for name, (changes, path) in RULES.items()},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    file.write_bytes(key_set(KEY))
    return file


@pytest.mark.parametrize("attack", ALL)
async def test_claims_are_refused(keys: Path, attack: str) -> None:
    changes, reason = ALL[attack]
    issuers = Issuers([policy(keys)], Hops())
    assert await issuers.verify(make(KEY, "ES256"))
    with pytest.raises(TokenRefused) as caught:
        await issuers.verify(make(KEY, "ES256", claims(**changes)))
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 500


@pytest.mark.parametrize(
    "subject", [*RESERVED, f"{ROBOT_PREFIX}ci", "group:admins", "alice", ":", "::", "other:x", "ci:x", "*", "a/../b"]
)
async def test_no_subject_makes_the_name_of_somebody_else(keys: Path, subject: str) -> None:
    """A user's name holds no colon, and no issuer is called robot or group (see the settings)."""
    other = policy(keys, name="ci-2", issuer="https://other.example.org")
    issuers = Issuers([policy(keys), other], Hops())
    identity = await issuers.verify(make(KEY, "ES256", claims(sub=subject)))
    twin = await issuers.verify(make(KEY, "ES256", claims(sub=subject, iss=other.issuer)))
    assert identity.name.partition(":") == ("ci", ":", subject)
    assert twin.name.partition(":") == ("ci-2", ":", subject)


async def test_a_group_is_never_what_a_token_says(keys: Path) -> None:
    rules = (ClaimRule({"sub": "**"}, frozenset()),)
    body = claims(groups=["admins"], rules=["admins"], kind="operator", name="operator")
    identity = await Issuers([policy(keys, rules=rules)], Hops()).verify(make(KEY, "ES256", body))
    assert identity.groups == frozenset()
