"""Issuers of JSON Web Tokens: their keys, and tokens of any form, good or not."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from registry.service.claims import ClaimRule
from registry.service.issuers import IssuerPolicy

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = object()
"""The value of a claim or header that is left out."""

ISSUER = "https://ci.example.org"
AUDIENCE = "https://registry.example.org"

_CURVES: dict[str, type[Any]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


@dataclass(frozen=True)
class Signer:
    """A key pair; ``family`` is as in ``key_sets.FAMILIES``."""

    kid: str
    family: str
    private: Any

    def jwk(self, **changes: Any) -> dict[str, Any]:
        reader: Any = {"RSA": RSAAlgorithm, "Ed25519": OKPAlgorithm}.get(self.family, ECAlgorithm)
        return without_absent({**reader.to_jwk(self.private.public_key(), as_dict=True), "kid": self.kid, **changes})

    def sign(self, algorithm: str, message: bytes) -> bytes:
        return jwt.get_algorithm_by_name(algorithm).sign(message, self.private)


@cache
def signer(kid: str, family: str = "RSA", bits: int = 2048) -> Signer:
    """The same one for the same id, in all tests of a process."""
    if family == "RSA":
        return Signer(kid, family, rsa.generate_private_key(65537, bits))
    if family == "Ed25519":
        return Signer(kid, family, ed25519.Ed25519PrivateKey.generate())
    return Signer(kid, family, ec.generate_private_key(_CURVES[family]()))


def without_absent(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not ABSENT}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "repo:acme/app",
        "iat": now,
        "nbf": now,
        "exp": now + 24 * 3600,  # made when tests are collected, and used whenever their turn comes
        "repository": "acme/app",
        "ref": "refs/heads/main",
        "protected": True,
        "number": 7,
        "kubernetes.io": {"namespace": "ci"},
    }
    return without_absent({**good, **changes})


RULE = ClaimRule(
    {
        "repository": "acme/*",
        "ref": "refs/heads/main",
        "protected": True,
        "number": 7,
        "kubernetes.io": {"namespace": ["ci", "release-*"]},
    },
    frozenset({"builders"}),
)


def policy(keys: Path | str, **changes: Any) -> IssuerPolicy:
    values: dict[str, Any] = {
        "name": "ci",
        "issuer": ISSUER,
        "audience": (AUDIENCE,),
        "keys": str(keys),
        "algorithms": ("RS256", "ES256", "EdDSA"),
        "rules": (RULE,),
        **changes,
    }
    return IssuerPolicy(**values)


def key_set(*keys: Signer | dict[str, Any]) -> bytes:
    return json.dumps({"keys": [key.jwk() if isinstance(key, Signer) else key for key in keys]}).encode()


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def part(value: Any) -> str:
    """Header or claims; bytes and text stand for themselves."""
    if isinstance(value, str):
        return base64url(value.encode())
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def make(by: Signer, algorithm: str, body: Any = None, **header: Any) -> str:
    """A token that is signed well; ``header`` changes what stands in its header, not how it is signed."""
    head = without_absent({"alg": algorithm, "kid": by.kid, "typ": "JWT", **header})
    return sign(by, algorithm, head, claims() if body is None else body)


def sign(by: Signer, algorithm: str, head: Any, body: Any) -> str:
    message = f"{part(head)}.{part(body)}"
    return f"{message}.{base64url(by.sign(algorithm, message.encode()))}"


def with_signature(token: str, signature: bytes) -> str:
    return f"{token.rpartition('.')[0]}.{base64url(signature)}"


def signature_of(token: str) -> bytes:
    text = token.rpartition(".")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
