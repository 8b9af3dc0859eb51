"""Who asks: from credentials to a principal."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import trio

from registry.oci.errors import Unauthorized
from registry.service.credentials import Basic
from registry.service.issuers import Issuers, TokenRefused, looks_like_jwt
from registry.service.known_passwords import KnownPasswords
from registry.service.passwords import Passwords
from registry.service.principals import ROBOT_PREFIX, UNIX, Kind, Principal, anonymous_at
from registry.service.standing import (
    ROBOT_SECRET_PREFIX,
    Standing,
    is_alive,
    is_use_news,
    kind_of,
    robot_number,
    robot_principal,
    secret_in,
    user_principal,
)
from registry.service.throttle import Buckets, Throttle
from registry.service.tokens import TOKEN, Login
from registry.service.users import Users
from registry.store import accounts, audit
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from registry.service.credentials import Credentials
    from registry.service.policy import AccessPolicy
    from registry.service.registry import Registry
    from registry.store.accounts import Account

_NAME_LIMIT = 255

log = structlog.get_logger()


class Authentication(Standing):
    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.known_passwords = KnownPasswords()
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
        self._passwords = Passwords(self._users, self._throttle, decoy_key, known=self.known_passwords)

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
        principal = self.by_token(credentials.token, "access", address) if login is None else login.principal
        if principal is None:
            raise Unauthorized("the token is unknown, or has expired", is_token_bad=True)
        return principal

    async def log_in(self, name: str, password: str, address: str) -> Login:
        """By password, or by what stands for one: the secret of a robot, the token of an issuer.

        Raises Unauthorized, TooManyRequests.
        """
        login = await self._log_in_by_secret(secret_in(name, password), address)
        if login is not None:
            return login
        stored = await self._passwords.check(_counted(address), name, password)
        if stored is None:
            raise await self._refused(name, address, "wrong name or password")
        await self._note_use(self._account(name))
        return Login(user_principal(name, stored, address))

    async def resume(self, text: str, address: str) -> Login:
        """By a refresh token. Raises Unauthorized, TooManyRequests."""
        principal = self.by_token(text, "refresh", address)
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

    def _stored(self, name: str) -> str | None:
        return self._users.find(name)

    def _is_issuer(self, name: str) -> bool:
        return self._issuers.is_configured(name)

    async def _log_in_by_secret(self, secret: str, address: str) -> Login | None:
        """None for what is neither a robot's secret nor an issuer's token. Raises Unauthorized, TooManyRequests."""
        number = robot_number(secret)
        if number is not None:
            return await self._log_in_robot(number, secret, address)
        if self._issuers and looks_like_jwt(secret):
            return await self._log_in_external(secret, address)
        return None

    async def _log_in_robot(self, number: int, secret: str, address: str) -> Login:
        account = self.robot(number, secret)
        if account is None:
            raise await self._refused_secret(ROBOT_PREFIX, address, "unknown secret of a robot")
        if not is_alive(account):
            raise await self._refused_secret(account.name, address, "the robot has expired")
        await self._note_use(account)
        return Login(robot_principal(account, address), account.expires_ms)

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
        if account is None or not is_use_news(account):
            return
        with suppress(sqlite3.Error, StorageFull, OSError):
            await self._registry.database.write(accounts.set_used, account.id)


def _is_secret(name: str) -> bool:
    """Whether it looks like a secret or a token in the wrong field."""
    plain = name.removeprefix(ROBOT_PREFIX)
    return plain.startswith(ROBOT_SECRET_PREFIX) or looks_like_jwt(plain) or TOKEN.fullmatch(plain) is not None


def _counted(address: str) -> str | None:
    """The address for the throttle: all clients of a unix socket have one, which says nothing of them."""
    return None if address == UNIX else address
