"""A read worker, as it runs.

It answers what is asked for most on the connections that it is given, and gives back every other one, with what was
read of it. It lives as long as its socket to the daemon is open, and obeys nothing else.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from registry import logs
from registry.gathering import Gathering
from registry.http.access_log import RUN
from registry.http.express import Express
from registry.http.monitor import Monitor
from registry.http.proxies import TrustedProxies
from registry.http.read_routes import READ_ROUTES
from registry.http.reader import Reader, ReadingExchange
from registry.http.repeats import Repeats
from registry.http.wire import scope_of
from registry.read_workers.lean import give_back_memory
from registry.read_workers.link import Link, socket_stream
from registry.read_workers.settings import ReadSettings
from registry.request_log import lines
from registry.service.known_passwords import KnownPasswords
from registry.service.policy import AccessPolicy, Policy, ScrubPolicy
from registry.service.reading import Reading
from registry.store.clock import Clock, boottime_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.oci.digests import Digest
    from registry.read_workers.link import Message

_TELL_SECONDS = 1
"""So much of what was counted is lost at most where the process is killed."""

_REPEATS_BYTES = 1024 * 1024
"""A process of this kind is to be small."""

_NUMBERS = 5000
"""Of connections, in one message."""


class ReadWorker:
    def __init__(self, link: Link, begin: dict[str, Any]) -> None:
        """``begin`` is the first message. Raises sqlite3.Error where the database can't be read."""
        self._link = link
        self._known = KnownPasswords(bytes.fromhex(begin["key"]))
        clock = Clock()
        clock.go_on(boottime_ms() + begin["clock_ahead_ms"])
        self._monitor = Monitor()
        self._reading = Reading(Path(begin["data"]), Policy(), clock, self._known, self._report)
        self._reading.restoration.is_open = begin["is_restored"]
        self._readers: dict[int, Reader] = {}
        self._turned: set[int] = set()
        """The numbers of connections with a request that began or ended since that was told."""
        self._has_news = False
        self._settings: ReadSettings
        self._express: Express
        self._follow(ReadSettings(**begin["settings"]))
        self._reading.database.open_readers()

    async def run(self) -> None:
        """Until the daemon closes its end of the link, or has gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.run)
            nursery.start_soon(self._tell_again_and_again)
            give_back_memory()
            self._link.post({"ready": RUN})
            while (message := await self._link.receive()) is not None:
                self._obey(message, nursery)
            lines.end()
            os._exit(0)  # there is nothing to keep, and a thread may hang in a system call

    def _obey(self, message: Message, nursery: trio.Nursery) -> None:
        match message.document:
            case {"connection": number}:
                self._take(number, message.files, nursery)
            case {"stop": number}:
                if number in self._readers:
                    self._readers[number].stop()
            case {"finish": True}:
                for reader in self._readers.values():
                    reader.finish()
            case _:
                self._learn(message.document)

    def _learn(self, document: dict[str, Any]) -> None:
        match document:
            case {"known": known}:
                for key, stored in known:
                    self._known.take(bytes.fromhex(key), stored)
            case {"tell": number}:
                self._tell()
                self._link.post({"done": number})
            case {"settings": settings, "number": number}:
                self._follow(ReadSettings(**settings))
                self._link.post({"done": number})

    def _follow(self, settings: ReadSettings) -> None:
        """For requests and connections that come from now on."""
        logs.set_up(settings)
        access, scrub = AccessPolicy(mode=settings.mode), ScrubPolicy(verified_seconds=settings.verified_seconds)
        self._reading.follow(Policy(access=access, scrub=scrub), settings.issuers)
        exchange = ReadingExchange(self._reading.registry, external_url=settings.external_url, monitor=self._monitor)
        routes = {} if settings.is_limited else READ_ROUTES
        repeats = Repeats(self._reading.registry, _REPEATS_BYTES)
        self._express = Express(exchange, TrustedProxies(settings.trusted_proxies), routes, repeats)
        self._settings = settings

    def _take(self, number: int, files: Sequence[int], nursery: trio.Nursery) -> None:
        """A connection is there from now on, for messages that follow; without its file, it has ended."""
        if not files:
            self._link.post({"left": number})
            return
        stream = socket_stream(files[0])
        try:
            scope = scope_of(stream.socket, "http")
        except OSError:  # the client has gone
            stream.socket.close()
            self._link.post({"left": number})
            return
        turn = partial(self._turn, number)
        reader = Reader(stream, scope, self._settings.stall_seconds, lambda: self._express, turn)
        self._readers[number] = reader
        nursery.start_soon(self._serve, number, stream, reader)

    async def _serve(self, number: int, stream: trio.SocketStream, reader: Reader) -> None:
        is_given_back = False
        try:
            if data := await reader.run():
                await self._link.send({"back": number}, data, [stream.socket.fileno()])
                is_given_back = True
        except trio.BrokenResourceError:  # the daemon has gone
            pass
        finally:
            del self._readers[number]
            self._turned.discard(number)
            await trio.aclose_forcefully(stream)
            if not is_given_back:
                self._link.post({"left": number})

    def _turn(self, number: int) -> None:
        self._turned.add(number)
        self._has_news = True

    async def _report(self, digest: Digest, kind: str, cause: str, descriptor: int) -> None:
        await self._link.send({"damaged": str(digest), "kind": kind, "cause": cause}, files=[descriptor])

    async def _tell_again_and_again(self) -> None:
        while True:
            await trio.sleep(_TELL_SECONDS)
            if self._has_news:
                self._tell()

    def _tell(self) -> None:
        """What was counted and logged since it was told the last time, and which connections are in use."""
        traffic = self._monitor.traffic.take()
        times = {name: seconds.take() for name, seconds in self._reading.hops.times.items() if seconds.count}
        self._link.post({"traffic": traffic, "times": times})
        self._has_news = bool(traffic)  # what is in flight ends
        turned, self._turned = list(self._turned), set()
        for start in range(0, len(turned), _NUMBERS):
            numbers = {number: self._readers[number].is_idle for number in turned[start : start + _NUMBERS]}
            self._link.post({"turned": list(numbers.items())})


async def _live(raw: socket.socket) -> None:
    link = Link(raw)
    begin = await link.receive()
    if begin is not None:
        await ReadWorker(link, begin.document).run()


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a service manager or a terminal means the daemon
        signal.signal(number, signal.SIG_IGN)
    trio.run(_live, socket.socket(fileno=int(sys.argv[1])), instruments=[Gathering()])
