"""Verification of passwords: who waits for whom, what counts, and that unknown users are treated as users are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
import trio
from argon2 import PasswordHasher
from trio.testing import wait_all_tasks_blocked

from registry.oci.errors import TooManyRequests
from registry.service.passwords import Passwords, hash_password, verify
from registry.service.throttle import Throttle
from registry.store.hops import Hops

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

HERE = "192.0.2.1"


def weak(password: str) -> str:
    """By argon2 with parameters that take no time."""
    return PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(password)


def by_bcrypt(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


class Users(dict[str, str]):
    def find(self, name: str) -> str | None:
        return self.get(name)

    def pick(self, fraction: float) -> str | None:
        return list(self.values())[int(fraction * len(self))] if self else None


class Gate(Hops):
    """Hops that wait for the test, then run on the loop; they tell what was verified against what."""

    def __init__(self, *, is_open: bool = True) -> None:
        super().__init__(inline=True)
        self.opened = trio.Event()
        self.verified: list[str] = []
        if is_open:
            self.opened.set()

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        assert function is verify
        self.verified.append(args[0])
        with trio.CancelScope(shield=True):  # as a thread does
            await self.opened.wait()
        return function(*args, **kwargs)


def passwords_of(users: Users, gate: Gate | None = None, threads: int = 1, key: bytes = b"key") -> Passwords:
    return Passwords(users, Throttle(), key, threads=threads, hops=Gate() if gate is None else gate)


async def test_what_matches_is_told_with_the_hash_that_it_matched() -> None:
    users = Users(alice=weak("sécret"), bob=by_bcrypt(b"hunter2"))
    passwords = Passwords(users, Throttle(), b"key")
    assert await passwords.check(HERE, "alice", "sécret") == users["alice"]
    assert await passwords.check(HERE, "bob", "hunter2") == users["bob"]
    for name, password in (("alice", "secret"), ("bob", "sécret"), ("carol", "hunter2"), ("", ""), ("alice", "")):
        assert await passwords.check(HERE, name, password) is None


async def test_a_hash_is_made_in_a_thread() -> None:
    made = await Passwords(Users(), Throttle(), b"key").hash("secret")
    assert verify(made, "secret")


async def test_an_unknown_user_is_verified_as_users_are_and_always_against_the_same() -> None:
    users = Users({f"user{number}": weak(str(number)) for number in range(4)})
    seen = []
    for _ in range(2):  # after a restart too
        gate = Gate()
        passwords = passwords_of(users, gate)
        for number in range(40):
            assert await passwords.check(None, f"nobody{number}", "wrong") is None
        seen.append(gate.verified)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 40
    assert set(seen[0]) == set(users.values())
    gate = Gate()
    await passwords_of(users, gate).check(None, "user1", "wrong")
    assert gate.verified == [users["user1"]]
    other = Gate()
    for number in range(40):
        await passwords_of(users, other, key=b"another key").check(None, f"nobody{number}", "wrong")
    assert other.verified != seen[0]


async def test_the_right_password_of_the_other_user_lets_no_unknown_one_in() -> None:
    users = Users(alice=weak("secret"))
    passwords = passwords_of(users)
    for _ in range(10):  # and it counts
        assert await passwords.check(HERE, "nobody", "secret") is None
    with pytest.raises(TooManyRequests):
        await passwords.check(HERE, "nobody", "secret")
    assert not passwords.is_known_good("nobody", "secret", users["alice"])


async def test_without_users_a_hash_of_todays_cost_is_verified() -> None:
    gate = Gate()
    assert await passwords_of(Users(), gate).check(HERE, "alice", "x") is None
    [verified], today = gate.verified, hash_password("x")
    assert (len(verified), verified.rsplit("$", 2)[0]) == (len(today), today.rsplit("$", 2)[0])


async def test_a_long_password_is_refused_unseen_and_counts() -> None:
    gate = Gate()
    passwords = passwords_of(Users(alice=weak("x")), gate)
    for _ in range(10):
        assert await passwords.check(HERE, "alice", "x" * 1025) is None
    assert not gate.verified
    with pytest.raises(TooManyRequests):
        await passwords.check(HERE, "alice", "x")


async def test_a_good_login_is_verified_once_and_ends_with_the_hash_that_it_matched() -> None:
    users, gate = Users(alice=weak("secret"), bob=weak("secret")), Gate()
    passwords = passwords_of(users, gate)
    stored = users["alice"]
    assert not passwords.is_known_good("alice", "secret", stored)
    for _ in range(3):
        assert await passwords.check(HERE, "alice", "secret") == stored
    assert gate.verified == [stored]
    assert passwords.is_known_good("alice", "secret", stored)
    for name, password in (("alice", "wrong"), ("bob", "secret"), ("alices", "ecret"), ("alic", "esecret")):
        assert not passwords.is_known_good(name, password, stored)
    del users["alice"]
    assert await passwords.check(HERE, "alice", "secret") is None
    users["alice"] = weak("secret")
    assert not passwords.is_known_good("alice", "secret", users["alice"])


async def test_a_good_login_is_remembered_for_an_hour_after_its_use(mock_clock: MockClock) -> None:
    users = Users(alice=weak("secret"))
    passwords = passwords_of(users)
    await passwords.check(HERE, "alice", "secret")
    for seconds, expected in ((3599, True), (3599, True), (3600, False), (0, False)):
        mock_clock.jump(seconds)
        assert passwords.is_known_good("alice", "secret", users["alice"]) is expected


async def test_good_logins_are_remembered_up_to_a_limit_the_last_used() -> None:
    passwords = passwords_of(Users())
    for number in range(10_000):
        passwords._remember(str(number), "secret", "hash")
    assert passwords.is_known_good("0", "secret", "hash")
    passwords._remember("another", "secret", "hash")
    known = [passwords.is_known_good(name, "secret", "hash") for name in ("0", "1", "2", "another")]
    assert known == [True, False, True, True]
    assert len(passwords._known) == 10_000
    assert b"secret" not in b"".join(passwords._known)


async def test_who_is_removed_while_a_thread_verifies_is_out() -> None:
    users, gate = Users(alice=weak("secret")), Gate(is_open=False)
    passwords = passwords_of(users, gate)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def log_in() -> None:
            assert await passwords.check(HERE, "alice", "secret") is None

        await wait_all_tasks_blocked()
        assert len(gate.verified) == 1
        stored = users.pop("alice")
        gate.opened.set()
    assert not passwords.is_known_good("alice", "secret", stored)


async def test_threads_are_limited_and_so_are_those_who_wait() -> None:
    users, gate = Users(alice=weak("secret")), Gate(is_open=False)
    passwords = passwords_of(users, gate, threads=2)
    async with trio.open_nursery() as nursery:
        for number in range(102):
            nursery.start_soon(passwords.check, f"192.0.2.{number}", f"nobody{number}", "wrong")
        await wait_all_tasks_blocked()
        assert len(gate.verified) == 2
        with pytest.raises(TooManyRequests, match="at once") as caught:
            await passwords.check("198.51.100.1", "alice", "secret")
        assert caught.value.retry_after_seconds > 0
        gate.opened.set()
    assert len(gate.verified) == 102
    assert await passwords.check("198.51.100.1", "alice", "secret")


async def test_nobody_waits_for_a_thread_for_long(mock_clock: MockClock) -> None:
    users, gate = Users(alice=weak("secret")), Gate(is_open=False)
    passwords = passwords_of(users, gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passwords.check, HERE, "nobody", "wrong")
        await wait_all_tasks_blocked()

        @nursery.start_soon
        async def log_in() -> None:
            with pytest.raises(TooManyRequests, match="at once"):
                await passwords.check(HERE, "alice", "secret")

        await wait_all_tasks_blocked()
        mock_clock.jump(5)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        gate.opened.set()
    assert await passwords.check(HERE, "alice", "secret")


async def test_a_hundred_at_once_have_no_more_tries_than_one_after_another() -> None:
    gate = Gate(is_open=False)
    passwords = passwords_of(Users(alice=weak("secret")), gate)
    refused = []

    async def guess(number: int) -> None:
        try:
            await passwords.check(HERE, "alice", str(number))
        except TooManyRequests:
            refused.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(guess, number)
        await wait_all_tasks_blocked()
        gate.opened.set()
    assert (len(gate.verified), len(refused)) == (10, 90)


async def test_one_verification_answers_all_who_wait_with_the_same_login() -> None:
    users, gate = Users(alice=weak("secret")), Gate(is_open=False)
    passwords = passwords_of(users, gate)
    good = []
    async with trio.open_nursery() as nursery:
        for _ in range(50):

            @nursery.start_soon
            async def log_in() -> None:
                good.append(await passwords.check(HERE, "alice", "secret"))

        await wait_all_tasks_blocked()
        gate.opened.set()
    assert (good, len(gate.verified)) == ([users["alice"]] * 50, 1)


async def test_who_is_known_never_meets_the_throttle() -> None:
    passwords = passwords_of(Users(alice=weak("secret"), bob=weak("hunter2")))
    assert await passwords.check(HERE, "alice", "secret")
    for number in range(10):
        assert await passwords.check(HERE, f"nobody{number}", "wrong") is None
    assert await passwords.check(HERE, "alice", "secret")
    with pytest.raises(TooManyRequests):
        await passwords.check(HERE, "bob", "hunter2")
    assert await passwords.check("198.51.100.1", "bob", "hunter2")


async def test_a_request_that_is_given_up_keeps_its_thread_and_counts() -> None:
    gate = Gate(is_open=False)
    passwords = passwords_of(Users(), gate)

    async def give_up(scope: trio.CancelScope) -> None:
        with scope:
            await passwords.check(HERE, "alice", "wrong")

    async with trio.open_nursery() as nursery:
        verifying, waiting = trio.CancelScope(), trio.CancelScope()
        nursery.start_soon(give_up, verifying)
        await wait_all_tasks_blocked()
        nursery.start_soon(give_up, waiting)
        nursery.start_soon(passwords.check, HERE, "bob", "wrong")
        await wait_all_tasks_blocked()
        verifying.cancel()
        waiting.cancel()
        await wait_all_tasks_blocked()
        assert len(gate.verified) == 1  # its thread still runs, so that nobody else's does
        gate.opened.set()
    assert len(gate.verified) == 2
    for _ in range(8):
        await passwords.check(HERE, "alice", "wrong")
    with pytest.raises(TooManyRequests):
        await passwords.check(HERE, "alice", "wrong")
