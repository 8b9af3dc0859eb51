"""Passwords that were found right, and who is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.service.known_passwords import KnownPasswords

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_others_are_told_of_a_good_login_and_again_while_it_is_used(mock_clock: MockClock) -> None:
    here = KnownPasswords()
    there, told = KnownPasswords(here.key), []

    def tell(key: bytes, stored: str) -> None:
        told.append(mock_clock.current_time())
        there.take(key, stored)

    here.tell = tell
    here.remember("alice", "secret", "hash")
    began = mock_clock.current_time()
    assert there.is_good("alice", "secret", "hash")
    assert not there.is_good("alice", "secret", "another hash")
    for _ in range(8):
        mock_clock.jump(600)
        assert here.is_good("alice", "secret", "hash")
    assert [moment - began for moment in told] == [0, 1800, 3600]
    assert there.is_good("alice", "secret", "hash")
    assert not KnownPasswords().is_good("alice", "secret", "hash")


async def test_the_newest_good_logins_are_told_to_whoever_comes_later() -> None:
    known = KnownPasswords()
    for name in "abc":
        known.remember(name, "secret", f"hash of {name}")
    assert known.is_good("a", "secret", "hash of a")
    assert [stored for _, stored in known.newest(2)] == ["hash of a", "hash of c"]
