"""Tokens that are good, and what becomes of them."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry.issuer_settings import ALGORITHMS
from registry.service.claims import ClaimRule
from registry.service.issuers import LIMIT_BYTES, Identity, Issuers, TokenRefused, looks_like_jwt
from registry.service.issuers import _subject as subject_of
from registry.service.key_sets import FAMILIES
from registry.store.hops import Hops
from tests.tools.jwts import ABSENT, AUDIENCE, claims, key_set, make, policy, sign, signer

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {family: signer(f"good-{family}", family) for family in FAMILIES.values()}
ES256 = KEYS["P-256"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    file.write_bytes(key_set(*KEYS.values()))
    return file


def make_issuers(keys: Path, **changes: Any) -> Issuers:
    return Issuers([policy(keys, **changes)], Hops())


async def verify(keys: Path, token: str | None = None, **changes: Any) -> Identity:
    return await make_issuers(keys, **changes).verify(make(ES256, "ES256") if token is None else token)


@pytest.mark.parametrize("algorithm", FAMILIES)
async def test_each_algorithm_verifies_what_its_key_has_signed(keys: Path, algorithm: str) -> None:
    body = claims()
    identity = await verify(keys, make(KEYS[FAMILIES[algorithm]], algorithm, body), algorithms=(algorithm,))
    assert identity == Identity("ci:repo:acme/app", frozenset({"builders"}), (body["exp"] + 10) * 1000)


async def test_a_key_that_names_its_algorithm_is_for_no_other(tmp_path: Path) -> None:
    rsa = KEYS["RSA"]
    (tmp_path / "keys.json").write_bytes(key_set(rsa.jwk(alg="RS256")))
    both = ("RS256", "PS256")
    assert await verify(tmp_path / "keys.json", make(rsa, "RS256"), algorithms=both)
    with pytest.raises(TokenRefused, match="no key 'good-RSA' for PS256"):
        await verify(tmp_path / "keys.json", make(rsa, "PS256"), algorithms=both)


def test_the_settings_know_the_same_algorithms() -> None:
    assert set(ALGORITHMS) == set(FAMILIES)


async def test_groups_are_those_of_all_rules_that_match(keys: Path) -> None:
    rules = (
        ClaimRule({"repository": "acme/**"}, frozenset({"acme", "all"})),
        ClaimRule({"repository": "acme/app"}, frozenset({"app"})),
        ClaimRule({"repository": "other/*"}, frozenset({"other"})),
    )
    assert (await verify(keys, rules=rules)).groups == {"acme", "all", "app"}


async def test_a_rule_may_give_no_group_but_a_name(keys: Path) -> None:
    identity = await verify(keys, rules=(ClaimRule({"sub": "**"}, frozenset()),))
    assert (identity.name, identity.groups) == ("ci:repo:acme/app", frozenset())


@pytest.mark.parametrize("moment", [{"exp": -5}, {"nbf": 5}, {"iat": 5}])
async def test_clocks_may_differ_by_the_leeway(keys: Path, moment: dict[str, int]) -> None:
    body = claims(**{name: int(time.time()) + seconds for name, seconds in moment.items()})
    assert await verify(keys, make(ES256, "ES256", body), leeway_seconds=60)
    with pytest.raises(TokenRefused, match=r"expired|not yet valid"):
        await verify(keys, make(ES256, "ES256", body), leeway_seconds=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [AUDIENCE, "https://elsewhere"]},
        {"iat": ABSENT, "nbf": ABSENT},
        {"sub": "système:é ü/日本"},
        {"sub": "x" * 1024},
        {"sub": "repo:acme/app:environment:a b"},
        {"kubernetes.io": {"namespace": "release-1", "pod": {"name": "x"}}},
    ],
)
async def test_claims_that_are_good_too(keys: Path, changes: dict[str, Any]) -> None:
    body = claims(**changes)
    assert (await verify(keys, make(ES256, "ES256", body))).name == f"ci:{body['sub']}"


@pytest.mark.parametrize("kind", [ABSENT, "jwt", "at+jwt"])
async def test_types_that_are_good_too(keys: Path, kind: object) -> None:
    assert await verify(keys, make(ES256, "ES256", typ=kind))


async def test_the_largest_token(keys: Path) -> None:
    """One byte more is refused: see the attacks."""
    base = make(ES256, "ES256", claims(x=""))
    token = make(ES256, "ES256", claims(x="x" * ((LIMIT_BYTES - len(base)) * 3 // 4)))
    assert LIMIT_BYTES - 4 < len(token) <= LIMIT_BYTES
    assert await verify(keys, token)


async def test_two_issuers_do_not_mix(tmp_path: Path, keys: Path) -> None:
    other_keys = tmp_path / "other.json"
    other = signer("good-P-256-of-another", "P-256")
    other_keys.write_bytes(key_set(other))
    second = policy(other_keys, name="other", issuer="https://other.example.org")
    issuers = Issuers([policy(keys), second], Hops())
    assert (await issuers.verify(make(ES256, "ES256"))).name == "ci:repo:acme/app"
    body = claims(iss="https://other.example.org")
    assert (await issuers.verify(make(other, "ES256", body))).name == "other:repo:acme/app"
    assert issuers.is_configured("other")
    assert not issuers.is_configured("third")


async def test_without_issuers_nothing_is_good() -> None:
    issuers = Issuers([], Hops())
    assert not issuers
    with pytest.raises(TokenRefused, match="unknown issuer"):
        await issuers.verify(make(ES256, "ES256"))


async def test_other_policies_keep_the_keys_that_come_from_the_same_place(tmp_path: Path) -> None:
    file, token = tmp_path / "keys.json", make(ES256, "ES256")
    file.write_bytes(key_set(ES256))
    issuers = make_issuers(file)
    assert (await issuers.verify(token)).groups == {"builders"}
    file.unlink()
    issuers.follow([policy(file, rules=(ClaimRule({"sub": "**"}, frozenset({"others"})),))])
    assert (await issuers.verify(token)).groups == {"others"}
    for policies, reason in (([policy(tmp_path / "none.json")], "no key"), ([], "unknown issuer")):
        issuers.follow(policies)
        with pytest.raises(TokenRefused, match=reason):
            await issuers.verify(token)


def test_what_looks_like_a_token_of_an_issuer() -> None:
    token = make(ES256, "ES256")
    assert looks_like_jwt(token)
    for text in ("", "rt_1_secret", "a.b.c", token.partition(".")[2], f"{token}.x.y", "eyJ.x", "é.é.é"):
        assert not looks_like_jwt(text), text


@given(st.text())
def test_a_subject_is_a_name_in_one_visible_line_or_refused(text: str) -> None:
    try:
        subject = subject_of({"sub": text})
    except TokenRefused:
        return
    assert subject == text == text.strip()
    assert subject.isprintable()
    assert len(f"{subject} ".splitlines()) == 1


@given(st.integers(0, 10_000), st.integers(0, 0x17F))
async def test_a_token_with_one_character_changed_is_refused(keys: Path, place: int, code: int) -> None:
    issuers, token = Issuers([policy(keys)], Hops(inline=True)), make(ES256, "ES256")
    place %= len(token)
    assume(token[place] != chr(code))
    with pytest.raises(TokenRefused):
        await issuers.verify(token[:place] + chr(code) + token[place + 1 :])


@given(st.binary(max_size=200), st.binary(max_size=200), st.booleans())
async def test_any_bytes_as_header_and_claims_are_refused_and_nothing_else_happens(
    keys: Path, head: bytes, body: bytes, is_signed: bool
) -> None:
    good = {"alg": "ES256", "kid": ES256.kid}
    with pytest.raises(TokenRefused):
        await Issuers([policy(keys)], Hops(inline=True)).verify(sign(ES256, "ES256", good if is_signed else head, body))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)


@given(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "kubernetes.io", "number"]), JSON)
async def test_any_value_of_a_claim_is_refused_or_good_and_nothing_else_happens(
    keys: Path, name: str, value: Any
) -> None:
    try:
        identity = await verify(keys, make(ES256, "ES256", claims(**{name: value})))
    except TokenRefused:
        return
    assert identity.name == f"ci:{value if name == 'sub' else 'repo:acme/app'}"


@given(st.sampled_from(["alg", "kid", "typ", "jku", "jwk", "x5c", "crit", "b64", "cty"]), JSON)
async def test_any_value_in_a_header_is_refused_or_good_and_nothing_else_happens(
    keys: Path, name: str, value: Any
) -> None:
    try:
        identity = await verify(keys, make(ES256, "ES256", **{name: value}))
    except TokenRefused:
        return
    assert identity.name == "ci:repo:acme/app"


def test_what_takes_long_to_load_is_loaded_with_the_first_keys() -> None:
    check = "import sys, registry.service.issuers; sys.exit(bool({'jwt', 'cryptography'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
