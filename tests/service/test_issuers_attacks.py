"""Attacks on signatures, keys and headers. Each is refused for its own reason, against real keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry.service.issuers import LIMIT_BYTES, Issuers, TokenRefused
from registry.store.hops import Hops
from tests.tools.jwts import (
    ABSENT,
    ISSUER,
    Signer,
    base64url,
    claims,
    key_set,
    make,
    part,
    policy,
    sign,
    signature_of,
    signer,
    with_signature,
)

if TYPE_CHECKING:
    from pathlib import Path

RSA = signer("good-RSA")
ES256 = signer("good-P-256", "P-256")
P384 = signer("good-P-384", "P-384")
ED = signer("good-Ed25519", "Ed25519")
OTHER = signer("other-P-256", "P-256")
EVIL = signer("evil-P-256", "P-256")
EVIL_RSA = signer("evil-RSA")
SHORT_RSA = signer("short-RSA", "RSA", 1024)
ENCRYPTION_RSA = replace(RSA, kid="encryption-RSA")
TWICE = signer("twice", "P-256")
OTHER_ISSUER = "https://other.example.org"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Tiny:
    """An RSA key of 512 bits, which anybody can take apart; no library signs with one any more."""

    p = 0xC1869443F6BE191C316AB437C20B5BD14746B2EF94241E4B61D95736CE423D49
    q = 0xFBED7DE42A06B7F9CCEB6841D5E694EEC057A8200533B36AA33BF506B0C6EEA3
    modulus = (p * q).to_bytes(64)

    @classmethod
    def jwk(cls) -> dict[str, str]:
        return {"kty": "RSA", "kid": "tiny", "n": base64url(cls.modulus), "e": "AQAB"}

    @classmethod
    def make(cls) -> str:
        message = f"{part({'alg': 'RS256', 'kid': 'tiny'})}.{part(claims())}"
        prefix = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of SHA-256 (RFC 8017, 9.2)
        block = prefix + hashlib.sha256(message.encode()).digest()
        padded = b"\0\1" + b"\xff" * (64 - 3 - len(block)) + b"\0" + block
        exponent = pow(65537, -1, (cls.p - 1) * (cls.q - 1))
        signature = pow(int.from_bytes(padded), exponent, cls.p * cls.q).to_bytes(64)
        return f"{message}.{base64url(signature)}"


@pytest.fixture
def issuers(tmp_path: Path) -> Issuers:
    """``ci`` with keys of several kinds, usable and not, and another issuer with a key of its own."""
    keys, other_keys = tmp_path / "keys.json", tmp_path / "other.json"
    secret = {"kty": "oct", "kid": "secret", "k": base64url(b"secret" * 8), "alg": "HS256"}
    keys.write_bytes(
        key_set(
            RSA.jwk(alg="RS256"), ES256, P384, ED, Tiny.jwk(), SHORT_RSA, secret,
            ENCRYPTION_RSA.jwk(use="enc"), TWICE, signer("twice-too", "P-256").jwk(kid="twice"),
        )
    )  # fmt: skip
    other_keys.write_bytes(key_set(OTHER))
    other = policy(other_keys, name="other", issuer=OTHER_ISSUER)
    return Issuers([policy(keys), other], Hops())


def unsigned(algorithm: Any, signature: str = "", kid: str = "good-RSA") -> str:
    return f"{part({'alg': algorithm, 'kid': kid})}.{part(claims())}.{signature}"


def by_secret(secret: bytes, algorithm: str = "HS256", kid: str = "good-RSA") -> str:
    message = f"{part({'alg': algorithm, 'kid': kid})}.{part(claims())}"
    return f"{message}.{base64url(hmac.digest(secret, message.encode(), algorithm.replace('HS', 'sha')))}"


def public(by: Signer, encoding: Encoding) -> bytes:
    key: bytes = by.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    return key


def as_der(token: str) -> str:
    raw = signature_of(token)
    return with_signature(token, encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])))


def zeros(r: int, s: int) -> str:
    return with_signature(make(ES256, "ES256"), r.to_bytes(32) + s.to_bytes(32))


def detached(crit: list[str] | None) -> str:
    """RFC 7797: the payload stands between the dots as it is, or not at all."""
    head = {"alg": "ES256", "kid": ES256.kid, "b64": False, **({} if crit is None else {"crit": crit})}
    message = f"{part(head)}.{json.dumps(claims())}"
    return f"{part(head)}..{base64url(ES256.sign('ES256', message.encode()))}"


def deep(opening: bytes, closing: bytes, levels: int) -> bytes:
    return opening * levels + b"1" + closing * levels


def twice(name: str, value: Any) -> bytes:
    """Claims in which the name stands a second time, at the end."""
    return json.dumps(claims()).encode()[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}".encode()


def flipped(token: str, place: int) -> str:
    signature = bytearray(signature_of(token))
    signature[place] ^= 1
    return with_signature(token, bytes(signature))


def loosely_encoded(token: str) -> str:
    """The same bytes: the last two bits of the last character are none of theirs."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


GOOD = make(ES256, "ES256")
HEAD = {"alg": "ES256", "kid": ES256.kid}
JWK = EVIL.jwk(kid=ES256.kid)
NOT_PINNED, NO_KEY = "ci does not sign with", "ci has no key"
BAD_SIGNATURE, NOT_THREE = "Signature verification failed", "not three parts"

ATTACKS: dict[str, tuple[str, str]] = {
    "alg none": (unsigned("none"), NOT_THREE),
    "alg none with a signature": (unsigned("none", "AAAA"), NOT_PINNED),
    "alg None": (unsigned("None", "AAAA"), NOT_PINNED),
    "alg NONE": (unsigned("NONE", "AAAA"), NOT_PINNED),
    "alg nOnE": (unsigned("nOnE", "AAAA"), NOT_PINNED),
    "alg none and a space": (unsigned("none ", "AAAA"), NOT_PINNED),
    "alg empty": (unsigned("", "AAAA"), NOT_PINNED),
    "alg null": (unsigned(None, "AAAA"), NOT_PINNED),
    "alg a list": (unsigned(["RS256"], "AAAA"), NOT_PINNED),
    "alg in lower case": (make(RSA, "RS256", alg="rs256"), NOT_PINNED),
    "no alg": (make(RSA, "RS256", alg=ABSENT), NOT_PINNED),
    "HS256 by the public key in PEM": (by_secret(public(RSA, Encoding.PEM)), NOT_PINNED),
    "HS256 by the public key in DER": (by_secret(public(RSA, Encoding.DER)), NOT_PINNED),
    "HS256 by the public key as JWK": (by_secret(json.dumps(RSA.jwk()).encode()), NOT_PINNED),
    "HS256 by an empty secret": (by_secret(b""), NOT_PINNED),
    "HS512 by the public key": (by_secret(public(RSA, Encoding.PEM), "HS512"), NOT_PINNED),
    "HS256 by the secret in the key set": (by_secret(b"secret" * 8, kid="secret"), NOT_PINNED),
    "the secret in the key set as a key of RS256": (make(RSA, "RS256", kid="secret"), NO_KEY),
    "PS256 by the key of RS256": (make(RSA, "PS256"), NOT_PINNED),
    "RS512 by the key of RS256": (make(RSA, "RS512"), NOT_PINNED),
    "PS256 that says RS256": (make(RSA, "PS256", alg="RS256"), BAD_SIGNATURE),
    "RS384 that says RS256": (make(RSA, "RS384", alg="RS256"), BAD_SIGNATURE),
    "ES384, for which there is a key": (make(P384, "ES384"), NOT_PINNED),
    "ES384 that says ES256": (make(P384, "ES384", alg="ES256"), NO_KEY),
    "EdDSA by somebody, under the id of an RSA key": (make(signer("evil", "Ed25519"), "EdDSA", kid=RSA.kid), NO_KEY),
    "RS256 by somebody, under the id of an EC key": (make(EVIL_RSA, "RS256", kid=ES256.kid), NO_KEY),
    "ES256 that says EdDSA": (make(ES256, "ES256", alg="EdDSA"), NO_KEY),
    "by somebody's key, under the id of a good one": (make(EVIL, "ES256", kid=ES256.kid), BAD_SIGNATURE),
    "by somebody's RSA key, likewise": (make(EVIL_RSA, "RS256", kid=RSA.kid), BAD_SIGNATURE),
    "by somebody's key, under its own id": (make(EVIL, "ES256"), NO_KEY),
    "by the other issuer's key": (make(OTHER, "ES256"), NO_KEY),
    "by the other issuer's key, under our id": (make(OTHER, "ES256", kid=ES256.kid), BAD_SIGNATURE),
    "for the other issuer by our key": (make(ES256, "ES256", claims(iss=OTHER_ISSUER)), "other has no key"),
    "kid unknown": (make(ES256, "ES256", kid="unknown"), NO_KEY),
    "kid empty": (make(ES256, "ES256", kid=""), NO_KEY),
    "kid a path": (make(ES256, "ES256", kid="../../../../dev/null"), NO_KEY),
    "kid a quote": (make(ES256, "ES256", kid="' OR 1=1 --"), NO_KEY),
    "kid and a newline": (make(ES256, "ES256", kid=f"{ES256.kid}\n"), NO_KEY),
    "kid in another case": (make(ES256, "ES256", kid=ES256.kid.upper()), NO_KEY),
    "kid of two keys": (make(TWICE, "ES256"), NO_KEY),
    "kid a number": (make(ES256, "ES256", kid=0), "does not name its key"),
    "kid null": (make(ES256, "ES256", kid=None), "does not name its key"),
    "kid a list": (make(ES256, "ES256", kid=[ES256.kid]), "does not name its key"),
    "no kid": (make(ES256, "ES256", kid=ABSENT), "does not name its key"),
    "its own key in jwk": (make(EVIL, "ES256", kid=ES256.kid, jwk=JWK), BAD_SIGNATURE),
    "its own key in jwk, without kid": (make(EVIL, "ES256", kid=ABSENT, jwk=JWK), "does not name its key"),
    "its own key in x5c": (make(EVIL, "ES256", kid=ES256.kid, x5c=[base64.b64encode(b"x").decode()]), BAD_SIGNATURE),
    "RSA key of 512 bits": (Tiny.make(), NO_KEY),
    "RSA key of 1024 bits": (make(SHORT_RSA, "RS256"), NO_KEY),
    "key for encryption": (make(ENCRYPTION_RSA, "RS256"), NO_KEY),
    "crit": (make(ES256, "ES256", crit=["exp"], exp=1), "asks for an extension"),
    "crit empty": (make(ES256, "ES256", crit=[]), "asks for an extension"),
    "crit null": (make(ES256, "ES256", crit=None), "asks for an extension"),
    "crit with b64": (make(ES256, "ES256", crit=["b64"], b64=True), "asks for an extension"),
    "b64 false": (make(ES256, "ES256", b64=False), "asks for an extension"),
    "b64 false and no payload": (detached(None), NOT_THREE),
    "b64 false and crit and no payload": (detached(["b64"]), NOT_THREE),
    "no signature": (GOOD.rpartition(".")[0] + ".", NOT_THREE),
    "signature left out": (GOOD.rpartition(".")[0], NOT_THREE),
    "signature of one byte": (with_signature(GOOD, b"\0"), BAD_SIGNATURE),
    "signature cut": (with_signature(GOOD, signature_of(GOOD)[:-1]), BAD_SIGNATURE),
    "signature with a byte more": (with_signature(GOOD, signature_of(GOOD) + b"\0"), BAD_SIGNATURE),
    "signature with one bit changed": (flipped(GOOD, 7), BAD_SIGNATURE),
    "signature of another token": (
        with_signature(GOOD, signature_of(make(ES256, "ES256", claims(sub="me")))),
        BAD_SIGNATURE,
    ),
    "RSA signature of zeros": (with_signature(make(RSA, "RS256"), bytes(256)), BAD_SIGNATURE),
    "Ed25519 signature of zeros": (with_signature(make(ED, "EdDSA"), bytes(64)), BAD_SIGNATURE),
    "ECDSA r = s = 0": (zeros(0, 0), BAD_SIGNATURE),
    "ECDSA r = 0": (zeros(0, 1), BAD_SIGNATURE),
    "ECDSA r = s = order": (zeros(P256_ORDER, P256_ORDER), BAD_SIGNATURE),
    "ECDSA r = 1, s = order": (zeros(1, P256_ORDER), BAD_SIGNATURE),
    "ECDSA signature in DER": (as_der(GOOD), BAD_SIGNATURE),
    "claims changed": (f"{part(HEAD)}.{part(claims(sub='me'))}.{base64url(signature_of(GOOD))}", BAD_SIGNATURE),
    "another type": (make(ES256, "ES256", typ="dpop+jwt"), "another type"),
    "another type, a logout": (make(ES256, "ES256", typ="logout+jwt"), "another type"),
    "type a number": (make(ES256, "ES256", typ=1), "another type"),
    "nested": (sign(ES256, "ES256", {**HEAD, "cty": "JWT"}, GOOD), "header or claims"),
    "encrypted": (".".join([part({"alg": "dir", "enc": "A256GCM"}), "", "AAAA", "AAAA", "AAAA"]), NOT_THREE),
    "encrypted, with a good token in front": (f"{GOOD}.AAAA.AAAA", NOT_THREE),
    "in JSON": (json.dumps({"payload": part(claims()), "protected": part(HEAD), "signature": "AAAA"}), NOT_THREE),
    "two parts": (f"{part(HEAD)}.{part(claims())}", NOT_THREE),
    "no parts": ("", NOT_THREE),
    "dots only": ("..", NOT_THREE),
    "100,000 levels": (sign(ES256, "ES256", HEAD, deep(b"[", b"]", 100_000)), "more than 16384 bytes"),
    "5,000 levels": (sign(ES256, "ES256", HEAD, b'{"a":' + deep(b"[", b"]", 5000) + b"}"), "nested deeper than 64"),
    "5,000 levels never closed": (sign(ES256, "ES256", HEAD, b"[" * 5000), "nested deeper than 64"),
    "1,500 objects": (sign(ES256, "ES256", HEAD, deep(b'{"a":', b"}", 1500)), "nested deeper than 64"),
    "a header of 1,500 levels": (sign(ES256, "ES256", deep(b'{"a":', b"}", 1500), claims()), "nested deeper than 64"),
    "a megabyte": (GOOD + "A" * 2**20, "more than 16384 bytes"),
    "a megabyte of dots": ("." * 2**20, "more than 16384 bytes"),
    "one byte too long": (GOOD + "A" * (LIMIT_BYTES + 1 - len(GOOD)), "more than 16384 bytes"),
    "not ASCII": (GOOD[:-1] + "é", NOT_THREE),
    "a digit that is not ASCII": (GOOD[:-1] + "\u0663", NOT_THREE),
    "padding": (GOOD + "==", NOT_THREE),
    "padding in the middle": (GOOD.replace(".", "=.", 1), NOT_THREE),
    "the other base64": (GOOD[:-2] + "+/", NOT_THREE),
    "bits after the end": (loosely_encoded(GOOD), "not the one way"),
    "a length that no bytes have": (f"AAAAA.{GOOD.partition('.')[2]}", "not base64url"),
    "a space in front": (f" {GOOD}", NOT_THREE),
    "a newline after it": (f"{GOOD}\n", NOT_THREE),
    "a null byte after it": (f"{GOOD}\0", NOT_THREE),
    "a null byte in it": (GOOD.replace(".", ".\0", 1), NOT_THREE),
    "Bearer in front": (f"Bearer {GOOD}", NOT_THREE),
    "alg twice": (sign(ES256, "ES256", b'{"alg":"none","alg":"ES256","kid":"good-P-256"}', claims()), "twice"),
    "sub twice": (sign(ES256, "ES256", HEAD, twice("sub", "me")), "twice"),
    "exp twice": (sign(ES256, "ES256", HEAD, twice("exp", 1)), "twice"),
    "iss twice": (sign(ES256, "ES256", HEAD, twice("iss", ISSUER)), "twice"),
    "exp not a number": (sign(ES256, "ES256", HEAD, b'{"iss":"x","exp":NaN}'), "NaN"),
    "exp infinite": (sign(ES256, "ES256", HEAD, b'{"iss":"x","exp":1e999}'), "no finite number"),
    "a number of 5,000 digits": (sign(ES256, "ES256", HEAD, b'{"exp":' + b"9" * 5000 + b"}"), "more than 19 digits"),
    "claims a list": (sign(ES256, "ES256", HEAD, [claims()]), "not a JSON object"),
    "claims a text": (sign(ES256, "ES256", HEAD, b'"x"'), "not a JSON object"),
    "claims in UTF-16": (sign(ES256, "ES256", HEAD, json.dumps(claims()).encode("utf-16")), "utf-8"),
    "claims after a byte order mark": (sign(ES256, "ES256", HEAD, b"\xef\xbb\xbf{}"), "BOM"),
    "header no JSON": (sign(ES256, "ES256", b"\0", claims()), "header or claims"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused(issuers: Issuers, attack: str) -> None:
    token, reason = ATTACKS[attack]
    assert await issuers.verify(GOOD)
    with pytest.raises(TokenRefused) as caught:
        await issuers.verify(token)
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 500


@pytest.mark.parametrize("header", [{"jku": "http://127.0.0.1:1/"}, {"jwk": JWK}, {"x5u": "http://127.0.0.1:1/"}])
async def test_a_key_that_a_good_token_names_is_not_looked_at(issuers: Issuers, header: dict[str, Any]) -> None:
    assert await issuers.verify(make(ES256, "ES256", **header))
