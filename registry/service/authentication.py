"""Who asks: from credentials to a principal."""

from __future__ import annotations

import hmac
import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.errors import Unauthorized
from registry.service.issuers import Issuers, TokenRefused, looks_like_jwt
from registry.service.passwords import Passwords
from registry.service.principals import ANONYMOUS, ROBOT_PREFIX, UNIX, Kind, Principal, anonymous_at
from registry.service.throttle import Buckets, Throttle
from registry.service.tokens import TOKEN, Login, hash_of, principal_of
from registry.service.users import Users
from registry.store import accounts, audit
from registry.store.clock import wall_ms
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from registry.service.policy import AccessPolicy
    from registry.service.registry import Registry
    from registry.store.accounts import Account

ROBOT_SECRET_PREFIX = "rt_"  # noqa: S105
_ROBOT_SECRET = re.compile(rf"{ROBOT_SECRET_PREFIX}([0-9]{{1,18}})_[A-Za-z0-9_-]{{43}}", re.ASCII)

_USED_MS = 3600 * 1000
"""How exactly the last use of an account is known."""

_NAME_LIMIT = 255

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Basic:
    """RFC 7617."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """RFC 6750."""

    token: str


Credentials = Basic | Bearer | None


class Authentication:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._users = Users(registry)
        self._throttle = Throttle()
        self._secret_throttle = Throttle()
        """Secrets can't be guessed: an old one in some job must not keep the passwords of its neighbours out."""
        self._written = Buckets(burst=1000, refill_seconds=0.1)
        self._issuers = Issuers(registry.policy.access.issuers, registry.hops)
        self._passwords: Passwords

    def open(self) -> None:
        """Once the database is open."""
        decoy_key = self._registry.database.read_now(accounts.decoy_key)
        self._passwords = Passwords(self._users, self._throttle, decoy_key)

    def follow(self, policy: AccessPolicy) -> None:
        """Raises HtpasswdInvalid, and then nothing has changed."""
        self._users.follow(policy.htpasswd)
        self._issuers.follow(policy.issuers)

    async def authenticate(self, credentials: Credentials, address: str) -> Principal:
        """Raises Unauthorized for credentials that are not good, whatever anonymous rights would allow; and
        TooManyRequests for somebody who tries too many. An open registry asks nobody.
        """
        if credentials is None:
            return anonymous_at(address)
        if isinstance(credentials, Basic):
            return (await self.log_in(credentials.name, credentials.password, address)).principal
        login = await self._log_in_by_secret(credentials.token, address)
        principal = self._by_token(credentials.token, "access", address) if login is None else login.principal
        if principal is None:
            raise Unauthorized("the token is unknown, or has expired", is_token_bad=True)
        return principal

    async def log_in(self, name: str, password: str, address: str) -> Login:
        """By password, or by what stands for one: the secret of a robot, the token of an issuer.

        Raises Unauthorized, TooManyRequests.
        """
        # The name of a robot has a colon, at which Basic credentials are split (RFC 7617, section 2).
        secret = password.rpartition(":")[2] if f"{name}:" == ROBOT_PREFIX else password
        login = await self._log_in_by_secret(secret, address)
        if login is not None:
            return login
        stored = await self._passwords.check(_counted(address), name, password)
        if stored is None:
            raise await self._refused(name, address, "wrong name or password")
        await self._note_use(self._account(name))
        return Login(Principal(name, key="password", address=address, credential=hash_of(stored)))

    async def resume(self, text: str, address: str) -> Login:
        """By a refresh token. Raises Unauthorized, TooManyRequests."""
        principal = self._by_token(text, "refresh", address)
        if principal is None:
            raise await self._refused_secret("", address, "refresh token unknown, or of no use any more")
        return Login(principal)

    def knows(self, name: str) -> bool:
        """Whether somebody could log in as this principal."""
        match kind_of(name):
            case Kind.ROBOT:
                return self._account(name) is not None
            case Kind.EXTERNAL:
                return self._issuers.is_configured(name.partition(":")[0])
            case _:
                return self._users.find(name) is not None

    async def hash(self, password: str) -> str:
        """What is stored of a password (see ``passwords.hash_password``)."""
        return await self._passwords.hash(password)

    def _by_token(self, text: str, kind: str, address: str) -> Principal | None:
        """Whose token it is; None for one that is unknown, has expired, or is of no use any more."""
        token = self._registry.tokens.find(text, kind)
        if token is None:
            return None
        principal = replace(principal_of(token, kind_of(token.principal)), address=address)
        return principal if self.is_current(principal) else None

    def is_current(self, principal: Principal) -> bool:
        """Whether it is still there, with the password or secret that it proved itself by."""
        match principal.kind:
            case Kind.ANONYMOUS | Kind.OPERATOR:
                return True
            case Kind.ROBOT:
                account = self._account(principal.name)
                if account is None or not _is_alive(account):
                    return False
                return hash_of(account.secret_hash) == principal.credential
            case Kind.EXTERNAL:
                return self._issuers.is_configured(principal.name.partition(":")[0])
            case _:
                stored = self._users.find(principal.name)
                return stored is not None and hash_of(stored) == principal.credential

    async def _log_in_by_secret(self, secret: str, address: str) -> Login | None:
        """None for what is neither a robot's secret nor an issuer's token. Raises Unauthorized, TooManyRequests."""
        robot = _ROBOT_SECRET.fullmatch(secret)
        if robot is not None:
            return await self._log_in_robot(int(robot[1]), secret, address)
        if self._issuers and looks_like_jwt(secret):
            return await self._log_in_external(secret, address)
        return None

    async def _log_in_robot(self, number: int, secret: str, address: str) -> Login:
        account = self._robot(number, secret)
        if account is None:
            raise await self._refused_secret(ROBOT_PREFIX, address, "unknown secret of a robot")
        if not _is_alive(account):
            raise await self._refused_secret(account.name, address, "the robot has expired")
        await self._note_use(account)
        credential = hash_of(account.secret_hash)
        principal = Principal(account.name, Kind.ROBOT, key="secret", address=address, credential=credential)
        return Login(principal, account.expires_ms)

    def _robot(self, number: int, secret: str) -> Account | None:
        account = self._registry.database.ask_now(accounts.find_by_id, number)
        if account is None or account.kind != Kind.ROBOT:
            return None
        return account if hmac.compare_digest(hash_of(secret), account.secret_hash) else None

    async def _log_in_external(self, token: str, address: str) -> Login:
        try:
            identity = await self._issuers.verify(token)
        except TokenRefused as error:
            raise await self._refused_secret("", address, str(error)) from None
        principal = Principal(identity.name, Kind.EXTERNAL, identity.groups, key="issuer", address=address)
        return Login(principal, identity.expires_ms)

    async def _refused(self, name: str, address: str, reason: str) -> Unauthorized:
        """What to raise, once the failure is in the log, and in the audit as far as that has room."""
        shown = "(a secret)" if _is_secret(name) and not self.knows(name) else name[:_NAME_LIMIT]
        log.info("login failed", name=shown, client=address, reason=reason)
        now = trio.current_time()
        if self._written.wait_seconds(b"", now) <= 0:  # of all addresses: strangers must not fill the disk
            self._written.take(b"", now)
            with suppress(sqlite3.Error, StorageFull, OSError):
                author = audit.Author(shown, "", address)
                await self._registry.database.write(audit.record, author, "login failed", after=reason)
        return Unauthorized("the credentials are not good")

    async def _refused_secret(self, name: str, address: str, reason: str) -> Unauthorized:
        """Likewise for what nobody can guess: it is throttled for the sake of the audit. Raises TooManyRequests."""
        self._secret_throttle.require(_counted(address), "")
        self._secret_throttle.failed(_counted(address), "")
        return await self._refused(name, address, reason)

    async def _note_use(self, account: Account | None) -> None:
        """Remember when an account was last used; a disk that is full keeps nobody out."""
        if account is None or (account.used_ms or 0) > wall_ms() - _USED_MS:
            return
        with suppress(sqlite3.Error, StorageFull, OSError):
            await self._registry.database.write(accounts.set_used, account.id)

    def _account(self, name: str) -> Account | None:
        return self._registry.database.ask_now(accounts.find, name)


def kind_of(name: str) -> Kind:
    """What a principal's name says of it."""
    if name == ANONYMOUS.name:
        return Kind.ANONYMOUS
    if name.startswith(ROBOT_PREFIX):
        return Kind.ROBOT
    return Kind.EXTERNAL if ":" in name else Kind.USER


def _is_secret(name: str) -> bool:
    """Whether it looks like a secret or a token in the wrong field."""
    plain = name.removeprefix(ROBOT_PREFIX)
    return plain.startswith(ROBOT_SECRET_PREFIX) or looks_like_jwt(plain) or TOKEN.fullmatch(plain) is not None


def _counted(address: str) -> str | None:
    """The address for the throttle: all clients of a unix socket have one, which says nothing of them."""
    return None if address == UNIX else address


def _is_alive(account: Account) -> bool:
    return account.expires_ms is None or account.expires_ms > wall_ms()
