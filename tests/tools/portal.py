"""A registry that synchronous tests talk to, and the comparison of what it answers with what was expected."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import trio

from registry.http.app import make_app
from registry.service.registry import open_registry
from registry.store.clock import Clock
from registry.store.hops import Hops
from tests.tools.asgi import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from registry.service.policy import Policy
    from tests.tools.asgi import Reply

T = TypeVar("T")

_NEXT = re.compile(r'<([^>]*)>; rel="next"')
_DIGEST = re.compile(r"sha(?:256|512):[a-f0-9]+")


@dataclass(frozen=True)
class Expected:
    """``headers`` have lower-case names; None stands for a header that must not be there.

    ``codes`` are those of the error envelope, ``named`` the digests in the details of its errors, where any.
    """

    status: int
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes = b""
    codes: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    document: Any = None
    """What the body is as JSON; ``body`` then does not count."""


def refused(status: int, code: str, headers: dict[str, str | None] | None = None) -> Expected:
    return Expected(status, headers or {}, codes=(code,))


def check(reply: Reply, expected: Expected, method: str = "GET") -> None:
    """The answer to HEAD is that to GET, without its body."""
    assert reply.status == expected.status, (reply, expected)
    assert {name: reply.headers.get(name) for name in expected.headers} == expected.headers, (reply, expected)
    if method == "HEAD":
        assert expected.codes or int(reply.headers["content-length"]) == len(expected.body), (reply, expected)
    elif expected.codes:
        assert tuple(reply.codes) == expected.codes, (reply, expected)
        details = json.dumps([error["detail"] for error in reply.json()["errors"]])
        assert not expected.named or set(_DIGEST.findall(details)) == expected.named, (reply, expected)
    elif expected.document is not None:
        assert reply.json() == expected.document, (reply, expected)
    else:
        assert reply.body == expected.body, (reply, expected)


class OpenRegistry:
    """One life of a registry, from opening its folder to closing it, on a trio loop in a thread of its own.

    Hops are inline, which is twice as fast. ``clock_source`` is what the daemon's clock advances with.
    """

    def __init__(self, data: Path, policy: Policy, clock_source: Callable[[], int]) -> None:
        self._data = data
        self._policy = policy
        self._clock = Clock(clock_source)
        self._started = Event()
        self._executor = ThreadPoolExecutor(1)
        self._life = self._executor.submit(trio.run, self._live)
        self._life.add_done_callback(lambda _: self._started.set())
        self._started.wait()
        if self._life.done():
            self.close()

    async def _live(self) -> None:
        hops = Hops(inline=True)
        async with open_registry(self._data, self._policy, hops=hops, clock=self._clock) as self.service:
            self._client = Client(make_app(self.service))
            self._token = trio.lowlevel.current_trio_token()
            self._stop = trio.Event()
            self._started.set()
            await self._stop.wait()

    def request(
        self,
        method: str,
        target: str,
        body: bytes | AsyncIterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        reply: Reply = self._call(self._client, method, target, body, headers or {})
        return reply

    def check_all(self, expected: Iterable[tuple[str, Expected]]) -> None:
        """GET each of the targets."""
        answers = dict(expected)

        async def ask() -> list[Reply]:
            return [await self._client("GET", target) for target in answers]

        for reply, answer in zip(self._call(ask), answers.values(), strict=True):
            check(reply, answer)

    def check_read(self, method: str, target: str, expected: Expected, *, is_cached: bool) -> None:
        """Read content; who has it already (``is_cached``) and says so gets no body."""
        headers = {"If-None-Match": expected.headers.get("etag") or '"other"'} if is_cached else {}
        reply = self.request(method, target, headers=headers)
        if is_cached and expected.status == 200:
            check(reply, Expected(304, {**expected.headers, "content-length": None}))
        else:
            check(reply, expected, method)

    def check_names(self, target: str, names: Sequence[str], size: int | None, last: str | None) -> None:
        """Walk a listing page by page: each is full but the last one."""
        query = {name: value for name, value in (("n", size), ("last", last)) if value is not None}
        rest = [name for name in names if last is None or name > last]
        pages = (
            [rest[start : start + size] for start in range(0, len(rest), size)] if size else [[] if size == 0 else rest]
        )
        listed = [reply.json() for reply in self.pages(f"{target}?{urlencode(query)}")]
        assert [page.get("tags", page.get("repositories")) for page in listed] == (pages or [[]])

    def pages(self, target: str) -> list[Reply]:
        """A page and all that follow it."""
        replies = [self.request("GET", target)]
        while "link" in replies[-1].headers:
            link = _NEXT.fullmatch(replies[-1].headers["link"])
            assert link, replies[-1]
            replies.append(self.request("GET", link[1]))
        return replies

    def close(self) -> None:
        """Close the registry; raises what ended it, if it ended before."""
        if not self._life.done():
            self._call(self._end)
        self._executor.shutdown()
        self._life.result()

    async def _end(self) -> None:
        self._stop.set()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run a function of the service."""
        result: T = self._call(function)
        return result

    def _call(self, function: Any, *args: Any) -> Any:
        return trio.from_thread.run(function, *args, trio_token=self._token)


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    """A body without Content-Length, in two pieces."""
    for piece in (content[:1], content[1:]):
        yield piece


async def broken(content: bytes) -> AsyncIterator[bytes]:
    """A body whose sender goes away before its end."""
    yield content
    raise ConnectionError


def content_range(start: int | None, length: int) -> dict[str, str]:
    """The header of a chunk; without a start there is none."""
    return {} if start is None else {"Content-Range": f"{start}-{start + length - 1}"}
