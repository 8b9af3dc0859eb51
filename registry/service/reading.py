"""As much of a registry as answers what is asked for most, in a process that only reads.

All that a request is judged by is in rows, which are asked at each use: what the main process has committed counts for
the next request here. Whatever is in no row, or has to be written, is not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from registry.service.access import Access
from registry.service.credentials import Basic, Bearer
from registry.service.damage import Damage
from registry.service.here import NotHere
from registry.service.principals import anonymous_at
from registry.service.small_blobs import SmallBlobs
from registry.service.standing import (
    Standing,
    is_alive,
    is_use_news,
    robot_number,
    robot_principal,
    secret_in,
    stored_hash,
    user_principal,
)
from registry.service.tokens import Tokens
from registry.store.files import Files
from registry.store.hops import Hops
from registry.store.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from pathlib import Path

    from registry.oci.digests import Digest
    from registry.service.credentials import Credentials
    from registry.service.known_passwords import KnownPasswords
    from registry.service.policy import Policy
    from registry.service.principals import Principal
    from registry.service.registry import Registry
    from registry.store.accounts import Account
    from registry.store.clock import Clock
    from registry.store.manifests import StoredManifest

    Report = Callable[[Digest, str, str, int], Awaitable[None]]
    """``await report(digest, kind, cause, descriptor)`` tells of a damaged blob (see ``Damage.report``)."""

_THREADS = 4

_SMALL_BLOBS_BYTES = 1024 * 1024
"""A process of this kind is to be small."""


class Reading:
    """What the reads of manifests, blobs and tags work on. Raises NotHere for what else anybody asks it for."""

    def __init__(self, data: Path, policy: Policy, clock: Clock, known: KnownPasswords, report: Report) -> None:
        self.policy = policy
        self.hops = Hops(threads=_THREADS)
        self.database = _Readers(data / "registry.db", self.hops, clock, threads=1)
        self.files = Files(data)
        self.small_blobs = SmallBlobs(_SMALL_BLOBS_BYTES)
        self.damage = _Damage(self.registry, report)
        self.restoration = _Restoration()
        self.tokens = Tokens(self.registry)
        self.access = Access(self.registry)
        self.authentication = ReadingAuthentication(self.registry, known)

    @property
    def registry(self) -> Registry:
        """This, for the functions that read."""
        return cast("Registry", self)

    def follow(self, policy: Policy, issuers: Collection[str]) -> None:
        """Take other decisions of the operator; ``issuers`` are the names of those that there are."""
        self.policy = policy
        self.authentication.issuers = frozenset(issuers)

    def __getattr__(self, name: str) -> NoReturn:
        raise NotHere(name)


class ReadingAuthentication(Standing):
    """Knows who proved to be whom, by tokens, by robots' secrets, and by passwords that others have verified.

    Whom it does not let in it refuses nothing: only the main process counts failures, and knows what is in no row.
    """

    def __init__(self, registry: Registry, known: KnownPasswords) -> None:
        super().__init__(registry)
        self._known = known
        self.issuers: frozenset[str] = frozenset()

    async def authenticate(self, credentials: Credentials, address: str) -> Principal:
        """Raises NotHere."""
        match credentials:
            case None:
                return anonymous_at(address)
            case Basic():
                principal = self._by_password(credentials, address)
            case Bearer():
                principal = self._by_secret(credentials.token, address)
                principal = principal or self.by_token(credentials.token, "access", address)
        if principal is None:
            raise NotHere
        return principal

    def _by_password(self, basic: Basic, address: str) -> Principal | None:
        robot = self._by_secret(secret_in(basic.name, basic.password), address)
        if robot is not None:
            return robot
        stored = self._stored(basic.name)
        if stored is None or not self._known.is_good(basic.name, basic.password, stored):
            return None
        _require_noted(self._account(basic.name))
        return user_principal(basic.name, stored, address)

    def _by_secret(self, secret: str, address: str) -> Principal | None:
        number = robot_number(secret)
        account = None if number is None else self.robot(number, secret)
        if account is None or not is_alive(account):
            return None
        _require_noted(account)
        return robot_principal(account, address)

    def _stored(self, name: str) -> str | None:
        """Of those in the database: those of an htpasswd file are not known here."""
        return stored_hash(self._account(name), name)

    def _is_issuer(self, name: str) -> bool:
        return name in self.issuers


class _Readers(Readers):
    async def write(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotHere


class _Restoration:
    def __init__(self) -> None:
        self.is_open = False
        """Said at the start: it does not open again, and where it has ended, files are looked for in vain."""


class _Damage(Damage):
    def __init__(self, registry: Registry, report: Report) -> None:
        super().__init__(registry)
        self._tell = report

    async def report(self, digest: Digest, kind: str, cause: str = "", *, descriptor: int | None = None) -> None:
        """What is found before anything was sent, the main process finds again."""
        if descriptor is None:
            raise NotHere
        await self._tell(digest, kind, cause, descriptor)

    async def report_manifest(self, _manifest: StoredManifest) -> None:
        raise NotHere


def _require_noted(account: Account | None) -> None:
    """Raises NotHere where the use of an account has to be written down."""
    if account is not None and is_use_news(account):
        raise NotHere
