"""The public keys of one issuer: read when a token needs them, and kept for a while.

Source: RFC 7517 (JWK), RFC 7518 (JWA), RFC 8037 (Ed25519).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import structlog
import trio

from registry.oci.strict_json import loads_object
from registry.service.key_sources import KeysUnavailable, fetch, read_file

if TYPE_CHECKING:
    from registry.store.hops import Hops

FAMILIES = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
"""The kind of key that each algorithm is for."""

RSA_BITS = 2048
"""The shortest modulus (RFC 7518, section 3.3)."""

KEPT_SECONDS = 24 * 3600
"""For how long keys are good after they were read for the last time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Key:
    """``algorithm`` is the only one that the key is for, None where the set does not say."""

    family: str
    algorithm: str | None
    public: Any

    def fits(self, algorithm: str) -> bool:
        return self.family == FAMILIES[algorithm] and self.algorithm in {None, algorithm}


class KeySet:
    """The keys at a URL or in a file.

    They are fresh for ``fresh_seconds``; older ones, or a key that is not among them, make the source be read again,
    but at most once in ``retry_seconds``, whatever is asked for and whether that works.
    """

    def __init__(self, issuer: str, source: str, hops: Hops) -> None:
        self._issuer = issuer
        self._source = source
        self._is_file = "://" not in source
        self._fresh_seconds, self._retry_seconds = (1, 1) if self._is_file else (300, 30)
        self._hops = hops
        self._reading = trio.Lock()
        self._content = b""
        self._keys: dict[str, Key] = {}
        self._read_at = self._tried_at = -inf
        self._complaint: str | None = None

    async def find(self, key_id: str) -> Key | None:
        """The key, None where there is none now.

        Whoever asks while somebody else reads the source waits for that, unless the key is known. A cancellation waits
        for the end of a reading that began (some seconds): a client that goes away must not keep them from being read.
        """
        if key_id not in self._keys if self._reading.locked() else self._is_due(key_id):
            async with self._reading:
                if self._is_due(key_id):
                    with trio.CancelScope(shield=True):
                        await self._read()
        return self._keys.get(key_id) if trio.current_time() - self._read_at < KEPT_SECONDS else None

    def _is_due(self, key_id: str) -> bool:
        now = trio.current_time()
        is_wanted = key_id not in self._keys or now - self._read_at >= self._fresh_seconds
        return is_wanted and now - self._tried_at >= self._retry_seconds

    async def _read(self) -> None:
        """Read the source; where that fails, the keys stay what they were."""
        self._tried_at = trio.current_time()
        try:
            content = await (self._hops(read_file, self._source) if self._is_file else fetch(self._source, self._hops))
            if content != self._content:
                self._keys = await self._hops(parse_key_set, content)
                self._content = content
        except (KeysUnavailable, ValueError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("keys can't be read", issuer=self._issuer, keys=self._source, error=self._complaint)
            return
        self._read_at = trio.current_time()
        if self._complaint is not None:
            self._complaint = None
            log.warning("keys can be read again", issuer=self._issuer, keys=self._source)


def parse_key_set(content: bytes) -> dict[str, Key]:
    """The keys by their ids. Those that can't be used are left out, and logged. Raises ValueError."""
    members = loads_object(content).get("keys")
    if not isinstance(members, list):
        raise ValueError("not a JSON Web Key Set: it has no list of keys")
    keys: dict[str, Key] = {}
    twice = set()
    for member in members:
        try:
            key_id, key = _parse_key(member)
        except (ValueError, TypeError) as error:
            log.warning("a key of an issuer is left out", key_id=_key_id_of(member), reason=str(error))
            continue
        if key_id in keys:
            twice.add(key_id)
        keys[key_id] = key
    for key_id in twice:
        log.warning("keys of an issuer are left out", key_id=key_id, reason="it names several keys")
    return {key_id: key for key_id, key in keys.items() if key_id not in twice}


def _key_id_of(member: Any) -> str:
    return str(member.get("kid"))[:100] if isinstance(member, dict) else ""


def _parse_key(member: Any) -> tuple[str, Key]:
    """Raises ValueError or TypeError for what is no public key that signatures are verified with."""
    if not isinstance(member, dict) or not isinstance(member.get("kid"), str):
        raise TypeError("it has no id")
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        raise ValueError("it is not for signatures")
    if "d" in member or "k" in member:
        raise ValueError("it is not public")
    algorithm = member.get("alg")
    family: Any = "RSA" if member.get("kty") == "RSA" else member.get("crv")
    if family not in FAMILIES.values() or (algorithm is not None and FAMILIES.get(algorithm) != family):
        raise ValueError("its kind is not supported")
    return member["kid"], Key(family, algorithm, _load(family, member))


def _load(family: str, member: dict[str, Any]) -> Any:
    """Raises ValueError or TypeError."""
    import jwt  # noqa: PLC0415 (on use: it takes long to load)
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm  # noqa: PLC0415

    readers: dict[str, Any] = {"RSA": RSAAlgorithm, "Ed25519": OKPAlgorithm}
    try:
        public = readers.get(family, ECAlgorithm).from_jwk(member)
    except jwt.InvalidKeyError as error:
        raise ValueError(str(error)) from None
    if family == "RSA" and public.key_size < RSA_BITS:
        raise ValueError(f"an RSA key has at least {RSA_BITS} bits")
    return public
