"""Credentials are worth what their principal is at each use: who is removed, changed or expired is out at the next."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from registry.oci.errors import Unauthorized
from registry.service.credentials import Basic, Bearer
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import ANONYMOUS, Kind
from registry.service.tokens import Login, hash_of
from registry.store import accounts, audit, tokens
from tests.http.access_columns import weak
from tests.tools.life import SLOW_SCRUB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry.service.authentication import Authentication
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.life import Life

HERE = "192.0.2.1"
ALICE = Basic("alice", "correct horse")
SECRET = f"rt_1_{'s' * 43}"


def line(name: str, password: bytes) -> str:
    return f"{name}:{bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()}\n"


BOB = line("bob", b"battery")
CHANGES = {"gone": "# nobody\n", "other": line("bob", b"staple"), "twice": BOB + BOB, "no file": None}


def write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    write(path, BOB)
    return path


@pytest.fixture
def policy(htpasswd: Path) -> Policy:
    return Policy(access=AccessPolicy(mode="token", htpasswd=htpasswd))


@pytest.fixture
async def authentication(registry: Registry) -> Authentication:
    await registry.database.write(accounts.add, "robot:ci", "robot", hash_of(SECRET))
    await registry.database.write(accounts.add, "alice", "user", weak(ALICE.password))
    return registry.authentication


async def tokens_of(registry: Registry, name: str, password: str) -> list[str]:
    """A token and, for a user, a refresh token, which work."""
    login = await registry.authentication.log_in(name, password, HERE)
    issued = await registry.tokens.issue(login, [], offline=True)
    assert (await registry.authentication.authenticate(Bearer(issued.token), HERE)).name == login.principal.name
    return [issued.token, *([issued.refresh_token] if issued.refresh_token else [])]


async def is_out(registry: Registry, credentials: Basic, known: list[str]) -> None:
    for each in (credentials, Bearer(known[0])):
        with pytest.raises(Unauthorized):
            await registry.authentication.authenticate(each, HERE)
    for refresh in known[1:]:
        with pytest.raises(Unauthorized):
            await registry.authentication.resume(refresh, HERE)


def _expire(tx: WriteTx) -> None:
    tx.execute("UPDATE account SET expires_ms = ? WHERE name = 'robot:ci'", tx.now_ms - 1)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("alice", (accounts.remove, "alice", "user")),
        ("alice", (accounts.set_secret, "alice", "user", weak("another"))),
        ("ci", (accounts.remove, "robot:ci", "robot")),
        ("ci", (accounts.set_secret, "robot:ci", "robot", hash_of(SECRET[:-1] + "x"))),
        ("ci", (_expire,)),
    ],
)
async def test_who_is_removed_or_changed_is_out_at_once(
    registry: Registry, authentication: Authentication, name: str, act: tuple[Callable[..., Any], Any]
) -> None:
    credentials = ALICE if name == "alice" else Basic(name, SECRET)
    known = await tokens_of(registry, name, credentials.password)
    await registry.database.write(*act)
    await is_out(registry, credentials, known)


async def test_the_same_password_once_more_ends_tokens_too(registry: Registry, authentication: Authentication) -> None:
    known = await tokens_of(registry, "alice", ALICE.password)
    await registry.database.write(accounts.set_secret, "alice", "user", weak(ALICE.password))
    await is_out(registry, Basic("alice", "wrong"), known)
    assert (await authentication.authenticate(ALICE, HERE)).name == "alice"


async def test_an_old_password_is_out_although_it_was_known_to_be_good(
    registry: Registry, authentication: Authentication
) -> None:
    await authentication.authenticate(ALICE, HERE)
    await registry.database.write(accounts.set_secret, "alice", "user", weak("another"))
    with pytest.raises(Unauthorized):
        await authentication.authenticate(ALICE, HERE)
    assert (await authentication.authenticate(Basic("alice", "another"), HERE)).name == "alice"


@pytest.mark.parametrize("change", CHANGES)
async def test_the_htpasswd_file_counts_as_it_is_now(
    registry: Registry, authentication: Authentication, htpasswd: Path, change: str
) -> None:
    known = await tokens_of(registry, "bob", "battery")
    write(htpasswd, CHANGES[change])
    await is_out(registry, Basic("bob", "battery"), known)
    write(htpasswd, BOB)
    assert (await authentication.authenticate(Bearer(known[0]), HERE)).name == "bob"


async def test_an_account_takes_the_name_of_one_in_the_file(registry: Registry, authentication: Authentication) -> None:
    known = await tokens_of(registry, "bob", "battery")
    await registry.database.write(accounts.add, "bob", "user", weak("staple"))
    await is_out(registry, Basic("bob", "battery"), known)


async def test_a_new_account_of_an_old_name_gets_nothing_of_the_old_one(
    registry: Registry, authentication: Authentication
) -> None:
    stored = weak(ALICE.password)
    await registry.database.write(accounts.set_secret, "alice", "user", stored)
    known = await tokens_of(registry, "alice", ALICE.password)
    await registry.database.write(accounts.remove, "alice", "user")
    await registry.database.write(accounts.add, "alice", "user", stored)
    with pytest.raises(Unauthorized):
        await authentication.authenticate(Bearer(known[0]), HERE)
    with pytest.raises(Unauthorized):
        await authentication.resume(known[1], HERE)


@pytest.mark.parametrize("name", ["anonymous", "operator", "authenticated", "robot:ci", "group:x", "gitlab:x"])
async def test_nobody_logs_in_by_a_name_that_means_something_else(
    registry: Registry, authentication: Authentication, htpasswd: Path, name: str
) -> None:
    write(htpasswd, BOB.replace("bob", name))
    if ":" not in name:
        await registry.database.write(accounts.add, name, "user", weak("battery"))
    for password in ("battery", hash_of(SECRET), ""):
        with pytest.raises(Unauthorized):
            await authentication.authenticate(Basic(name, password), "")


async def test_the_secret_of_a_robot_says_who_it_is(registry: Registry, authentication: Authentication) -> None:
    for credentials in (Basic("ci", SECRET), Basic("alice", SECRET), Bearer(SECRET)):
        principal = await authentication.authenticate(credentials, HERE)
        assert (principal.name, principal.kind, principal.scopes) == ("robot:ci", Kind.ROBOT, None)
    alice = registry.database.read_now(accounts.find, "alice")
    assert alice is not None
    for wrong in (
        f"rt_{alice.id}_{'s' * 43}",
        f"rt_9_{'s' * 43}",
        f"rt_{'9' * 18}_{'s' * 43}",
        SECRET[:-1] + "t",
        SECRET + "s",
    ):
        for number, each in enumerate((Basic("ci", wrong), Bearer(wrong))):
            with pytest.raises(Unauthorized):
                await authentication.authenticate(each, f"192.0.2.{number + 10}")


async def test_a_token_ends_with_its_time_and_is_none_before_it(
    registry: Registry, authentication: Authentication
) -> None:
    alice = await authentication.authenticate(ALICE, HERE)
    for created_ms, expires_ms, is_good in ((-10, 100_000, True), (-10, -1, False), (50_000, 100_000, False)):
        now_ms = time.time_ns() // 1_000_000
        text = f"token{created_ms}{expires_ms}"
        row = tokens.Token(
            hash_of(text), "access", "alice", alice.credential, "[]", None, now_ms + created_ms, now_ms + expires_ms
        )
        await registry.database.write(tokens.add, row)
        if is_good:
            assert (await authentication.authenticate(Bearer(text), HERE)).name == "alice"
        else:
            with pytest.raises(Unauthorized):
                await authentication.authenticate(Bearer(text), HERE)


def _stored(registry: Registry) -> str:
    account = registry.database.read_now(accounts.find, "alice")
    assert account is not None
    return account.secret_hash


async def test_a_failure_is_written_down_with_its_address_and_no_secret(
    registry: Registry, authentication: Authentication
) -> None:
    for credentials in (Basic("alice", "wrong"), Basic("x" * 9999, "y"), Basic(SECRET, "z")):
        with pytest.raises(Unauthorized):
            await authentication.authenticate(credentials, HERE)
    entries = await registry.database.read(audit.list_entries, since_ms=0, after_id=0, limit=10)
    assert [(each.principal, each.action, each.address) for each in entries] == [
        ("alice", "login failed", HERE),
        ("x" * 255, "login failed", HERE),
        ("(a secret)", "login failed", HERE),
    ]
    assert "wrong" not in {each.after for each in entries}


async def test_a_restored_database_has_no_tokens(life: Life) -> None:
    """A user who was removed since then stands in it again; the tokens of that time are not let in again."""
    policy = Policy(access=AccessPolicy(mode="token"), scrub=SLOW_SCRUB, reserve_bytes=0)
    async with life.opened(policy=policy) as opened:
        await opened.registry.database.write(accounts.add, "alice", "user", weak(ALICE.password))
        known = await tokens_of(opened.registry, "alice", ALICE.password)
        anonymous = (await opened.registry.tokens.issue(Login(ANONYMOUS), [])).token
        assert await opened.registry.backup.take_if_changed()
        shutil.copy(opened.registry.backup.target, life.data.with_name("old.db"))
        await opened.registry.database.write(accounts.remove, "alice", "user")
    life.restore(life.data.with_name("old.db"))
    async with life.opened(policy=policy) as opened:
        assert opened.registry.restoration.is_open
        for token in (known[0], anonymous):
            with pytest.raises(Unauthorized):
                await opened.registry.authentication.authenticate(Bearer(token), HERE)
        with pytest.raises(Unauthorized):
            await opened.registry.authentication.resume(known[1], HERE)
        kept = await tokens_of(opened.registry, "alice", ALICE.password)
    async with life.opened(policy=policy) as opened:  # still restored, and not once more
        assert opened.registry.restoration.is_open
        assert (await opened.registry.authentication.authenticate(Bearer(kept[0]), HERE)).name == "alice"
