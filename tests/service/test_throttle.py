"""How many failed logins are borne; the clock is the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.oci.errors import TooManyRequests
from registry.service.throttle import Throttle, network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def failures(throttle: Throttle, address: Callable[[int], str | None], name: Callable[[int], str]) -> int:
    """How many are borne in a row."""
    for count in range(1000):
        try:
            throttle.require(address(count), name(count))
        except TooManyRequests:
            return count
        throttle.failed(address(count), name(count))
    return 1000


def test_an_address_has_ten_failures_and_one_more_each_six_seconds() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert failures(throttle, lambda _: "192.0.2.1", str) == 10
    with pytest.raises(TooManyRequests) as caught:
        throttle.require("192.0.2.1", "another name")
    assert caught.value.retry_after_seconds == 6
    throttle.require("192.0.2.2", "0")
    clock.now += 4.5
    with pytest.raises(TooManyRequests) as caught:
        throttle.require("192.0.2.1", "another name")
    assert caught.value.retry_after_seconds == 2
    clock.now += 1.5
    assert failures(throttle, lambda _: "192.0.2.1", str) == 1
    clock.now += 3600
    assert failures(throttle, lambda _: "192.0.2.1", str) == 10


def test_a_name_has_a_hundred_failures_from_anywhere_and_one_more_each_second() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert failures(throttle, lambda count: f"192.0.2.{count}", lambda _: "alice") == 100
    throttle.require("192.0.2.250", "bob")
    clock.now += 1
    assert failures(throttle, lambda count: f"198.51.100.{count}", lambda _: "alice") == 1
    with pytest.raises(TooManyRequests) as caught:
        throttle.require("203.0.113.1", "alice")
    assert caught.value.retry_after_seconds == 1


def test_failures_beyond_the_last_token_make_no_debt() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(1000):
        throttle.failed("192.0.2.1", "alice")
    clock.now += 6
    throttle.require("192.0.2.1", "alice")


def test_what_is_not_known_does_not_count() -> None:
    throttle = Throttle(Clock())
    assert failures(throttle, lambda _: None, str) == 1000
    assert failures(throttle, lambda _: None, lambda _: "alice") == 100
    assert failures(throttle, lambda _: "192.0.2.1", lambda _: "") == 10
    assert failures(throttle, lambda _: None, lambda _: "") == 1000


def test_what_is_kept_is_bounded_and_what_failed_longest_ago_is_forgotten() -> None:
    throttle = Throttle(Clock())
    for _ in range(10):
        throttle.failed("192.0.2.1", "alice")
        throttle.failed("192.0.2.2", "bob")
    for number in range(9_999):
        throttle.failed(f"10.0.{number // 256}.{number % 256}", "x" * 1000 + str(number))
    throttle.require("192.0.2.1", "carol")
    with pytest.raises(TooManyRequests):
        throttle.require("192.0.2.2", "carol")
    assert len(throttle) == 20_000


async def test_time_is_the_event_loops(mock_clock: MockClock) -> None:
    throttle = Throttle()
    assert failures(throttle, lambda _: "192.0.2.1", str) == 10
    mock_clock.jump(6)
    assert failures(throttle, lambda _: "192.0.2.1", str) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("not an address", "not an address"),
    ],
)
def test_a_client_may_choose_among_the_addresses_of_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
