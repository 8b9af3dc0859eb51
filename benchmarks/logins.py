"""What logins take, and what bad ones do to pulls.

``python -m benchmarks.logins``: wrong passwords of users and of unknown names in turn, below HTTP, for users of several
kinds. ``python -m benchmarks.logins http://127.0.0.1:PORT USER PASSWORD [TARGET]``: the same of a running daemon, and
how long GET TARGET (/v2/) takes that user while 100 bad logins a second arrive. Each bad login comes from a loopback
address of its own, as from a botnet, or all from one.
"""

from __future__ import annotations

import base64
import http.client
import multiprocessing
import random
import statistics
import string
import sys
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import trio

from registry.service.passwords import Passwords
from registry.service.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_PAIRS = 300
_WARM_UP = 10
_ATTACK_PER_SECOND = 100
_ATTACK_SECONDS = 15.0

ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$"
KINDS: dict[str, Sequence[str]] = {
    "argon2": [ARGON2],
    "bcrypt, cost 5": ["$2y$05$"],
    "bcrypt, cost 10": ["$2y$10$"],
    "6 argon2 : 2 bcrypt 5 : 2 bcrypt 10": [ARGON2] * 6 + ["$2y$05$", "$2y$10$"] * 2,
}


def stored_hash(kind: str, chance: random.Random) -> str:
    """A hash that takes its time and that no password matches."""
    letters = "".join(chance.choices(string.ascii_letters, k=52))
    return f"{kind}{letters[:21]}A${letters[:42]}A" if kind == ARGON2 else f"{kind}{letters[:21]}e{letters[:31]}"


class Population:
    """Hashes of many users."""

    def __init__(self, kinds: Sequence[str], count: int = 1000) -> None:
        chance = random.Random(1)
        self._hashes = {f"user{n}": stored_hash(kinds[n % len(kinds)], chance) for n in range(count)}
        self._sorted = sorted(self._hashes.values())

    def find(self, name: str) -> str | None:
        return self._hashes.get(name)

    def pick(self, fraction: float) -> str | None:
        return self._sorted[int(fraction * len(self._sorted))]


class Login(Protocol):
    def __call__(self, name: str, password: str) -> Awaitable[float]:
        """Seconds that a login took which has to fail."""


async def measure(title: str, log_in: Login, user: Callable[[int], str]) -> None:
    """Wrong passwords of users and of unknown names, in turn."""
    times: dict[str, list[float]] = {"users": [], "unknown names": []}
    for number in range(_WARM_UP + _PAIRS):
        pair = [("users", user(number)), ("unknown names", f"nobody{number}")]
        for kind, name in pair if number % 2 else reversed(pair):
            seconds = await log_in(name, f"wrong{number}")
            if number >= _WARM_UP:
                times[kind].append(seconds * 1000)
    print(f"{title}: {_PAIRS} pairs")
    for kind, taken in times.items():
        low, median, high = statistics.quantiles(taken, n=4)
        mean = statistics.mean(taken)
        print(f"  {kind:13}  median {median:7.2f} ms (quartiles {low:.2f} and {high:.2f}), mean {mean:.2f}")
    print(f"  ratio of the medians {ratio_and_interval(*times.values())}")


def ratio_and_interval(known: Sequence[float], unknown: Sequence[float]) -> str:
    """The ratio of the medians, and where it lies in 95 of 100 resamplings."""
    chance = random.Random(1)

    def resampled(times: Sequence[float]) -> float:
        return statistics.median(chance.choices(times, k=len(times)))

    ratios = sorted(resampled(known) / resampled(unknown) for _ in range(1000))
    ratio = statistics.median(known) / statistics.median(unknown)
    return f"{ratio:.3f} (95 %: {ratios[25]:.3f} to {ratios[974]:.3f})"


async def below_http() -> None:
    for title, kinds in KINDS.items():
        passwords = Passwords(Population(kinds), Throttle(), b"benchmark")

        async def log_in(name: str, password: str, passwords: Passwords = passwords) -> float:
            started = time.perf_counter()
            assert await passwords.check(None, name, password) is None
            return time.perf_counter() - started

        await measure(title, log_in, lambda number: f"user{number}")


def address(number: int) -> str:
    """A loopback address for each number."""
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def authorization(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def get(host: str, source: str, target: str, name: str, password: str) -> tuple[int, float, float]:
    """The status, how long it took, and how long to wait where it is 429 (seconds)."""
    connection = http.client.HTTPConnection(host, source_address=(source, 0), timeout=60)
    connection.connect()
    started = time.perf_counter()
    connection.request("GET", target, headers=authorization(name, password))
    response = connection.getresponse()
    response.read()
    seconds = time.perf_counter() - started
    connection.close()
    return response.status, seconds, float(response.headers.get("Retry-After", 1))


async def over_http(host: str, user: str) -> None:
    sources = iter(range(256 * 256, 2**24))

    async def log_in(name: str, password: str) -> float:
        while True:
            status, seconds, wait_seconds = get(host, address(next(sources)), "/v2/", name, password)
            if status == 401:
                return seconds
            assert status == 429, f"{status} for bad credentials"
            await trio.sleep(wait_seconds)

    await measure(f"http://{host}/v2/", log_in, lambda _: user)


def attack(host: str, *, is_botnet: bool, seconds: float) -> None:
    """Bad logins at a fixed rate, whatever becomes of those before."""
    statuses: dict[str, int] = {}
    first = int(time.time()) % 200 * 2**16 + 256

    async def guess(number: int) -> None:
        lines = [f"{name}: {value}" for name, value in authorization(f"nobody{number}", "wrong").items()]
        request = "\r\n".join(["GET /v2/ HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""])
        name, port = host.split(":")
        source = address(first + number if is_botnet else first)
        with trio.move_on_after(30) as scope:
            stream = await trio.open_tcp_stream(name, int(port), local_address=source)
            async with stream:
                await stream.send_all(request.encode())
                status = (await stream.receive_some(65536))[9:12].decode()
                statuses[status] = statuses.get(status, 0) + 1
        if scope.cancelled_caught:
            statuses["none"] = statuses.get("none", 0) + 1

    async def all_of_them() -> None:
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(int(seconds * _ATTACK_PER_SECOND)):
                await trio.sleep_until(started + number / _ATTACK_PER_SECOND)
                nursery.start_soon(guess, number)

    trio.run(all_of_them)
    print(f"  bad logins by status: {statuses}", flush=True)


def pull(host: str, target: str, user: str, password: str, seconds: float) -> list[float]:
    """How long each of many requests took on one connection, in ms."""
    connection, times, until = http.client.HTTPConnection(host), [], time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        connection.request("GET", target, headers=authorization(user, password))
        response = connection.getresponse()
        response.read()
        times.append((time.perf_counter() - started) * 1000)
        assert response.status == 200, response.status
        time.sleep(0.005)
    connection.close()
    return times


def pulls_under_attack(host: str, target: str, user: str, password: str) -> None:
    def show(title: str, times: Sequence[float]) -> None:
        points = statistics.quantiles(times, n=100)
        print(
            f"  {title}: {len(times)} pulls, p50 {points[49]:.2f} ms, p99 {points[98]:.2f} ms, most {max(times):.1f} ms"
        )

    print(f"GET {target} as {user}, one after another")
    pull(host, target, user, password, 1)  # a good login before
    show("alone", pull(host, target, user, password, _ATTACK_SECONDS / 2))
    for title, is_botnet in (("bad logins from one address", False), ("bad logins from as many addresses", True)):
        arguments = {"is_botnet": is_botnet, "seconds": _ATTACK_SECONDS}
        attacker = multiprocessing.get_context("spawn").Process(target=attack, args=(host,), kwargs=arguments)
        attacker.start()
        time.sleep(3)
        show(title, pull(host, target, user, password, _ATTACK_SECONDS / 2))
        attacker.join()


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        trio.run(below_http)
        return
    url, user, password, target = [*arguments, "/v2/"][:4]
    host = urlsplit(url).netloc
    pulls_under_attack(host, target, user, password)
    trio.run(over_http, host, user)  # afterwards: it uses up what may fail under this name


if __name__ == "__main__":
    main(sys.argv[1:])
