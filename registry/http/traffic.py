"""Requests as they are counted, by end point, method and status.

Whoever answers a request calls ``begin``, ``Record.route`` as soon as the end point is known, and ``Record.end``
whatever became of it; that costs a few microseconds. What a client sends makes no label: end points are those of
the table, methods and statuses are known ones.

Source: distribution, registry/api/v2/routes.go; the words for methods are those of prometheus/client_golang,
promhttp/instrument_server.go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from registry.tally import BYTES, SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from prometheus_client.core import Metric

HANDLERS: Final[Mapping[str, str]] = {
    "version": "base",
    "catalog": "catalog",
    "extensions": "extensions",
    "tags": "tags",
    "referrers": "referrers",
    "manifest": "manifest",
    "blob": "blob",
    "uploads": "blob_upload",
    "upload": "blob_upload_chunk",
    "token": "token",
}
"""Names of end points as they stand in ``routes``, and here. Others, of probes and the operator's, are not counted."""

_ELSEWHERE = "other"
"""What leads to no end point: a path or a method that there is not, a client that asks too often or for whom there is
no place, and what is no request."""

_METHODS: Final = {
    name: name.lower() for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
}
_UNKNOWN = "unknown"

CLIENT_GONE = 499
"""The code of a request whose client went away before an answer began, as nginx logs it."""


class Handled:
    """What is counted of one end point."""

    __slots__ = ("in_flight", "methods", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.in_flight = 0
        self.request_bytes = Histogram(BYTES)
        self.response_bytes = Histogram(BYTES)
        self.methods: dict[str, tuple[dict[int, int], Histogram]] = {}
        """By method: how often each status was answered, and how long it took."""

    @property
    def is_of_interest(self) -> bool:
        """Whether there is anything to tell of it."""
        return bool(self.methods or self.in_flight)

    def take(self) -> dict[str, Any]:
        """All that was counted, which begins at nothing then; and how many are in flight."""
        methods = {
            method: ({str(code): times for code, times in codes.items()}, seconds.take())
            for method, (codes, seconds) in self.methods.items()
        }
        self.methods = {}
        sizes = self.request_bytes.take(), self.response_bytes.take()
        return {"in_flight": self.in_flight, "methods": methods, "sizes": sizes}

    def add(self, taken: dict[str, Any]) -> None:
        """What another process has taken; those in flight there stay its own."""
        for method, (more_codes, took) in taken["methods"].items():
            codes, seconds = self.methods.setdefault(method, ({}, Histogram(SECONDS)))
            for code, times in more_codes.items():
                codes[int(code)] = codes.get(int(code), 0) + times
            seconds.add(took)
        for sizes, more in zip((self.request_bytes, self.response_bytes), taken["sizes"], strict=True):
            sizes.add(more)


class Record:
    """One request and its answer."""

    __slots__ = ("_began", "_handled", "_is_counted", "_method", "_traffic")

    def __init__(self, traffic: Traffic, method: str) -> None:
        self._traffic = traffic
        self._method = _METHODS.get(method, _UNKNOWN)
        self._handled: Handled | None = None
        self._is_counted = True
        self._began = time.perf_counter()

    def route(self, name: str) -> None:
        """Its end point is known; from now on the request is in flight there."""
        self._handled = self._traffic.handled.get(HANDLERS.get(name, ""))
        if self._handled is None:
            self._is_counted = False
        else:
            self._handled.in_flight += 1

    def end(self, status: int, received_bytes: int, sent_bytes: int) -> float:
        """Call it once; the seconds it took. The bytes are those of bodies, as far as they were read and sent."""
        took = time.perf_counter() - self._began
        if not self._is_counted:
            return took
        handled = self._handled
        if handled is None:
            handled = self._traffic.handled[_ELSEWHERE]
        else:
            handled.in_flight -= 1
        handled.request_bytes.observe(received_bytes)
        handled.response_bytes.observe(sent_bytes)
        if self._method not in handled.methods:
            handled.methods[self._method] = ({}, Histogram(SECONDS))
        codes, seconds = handled.methods[self._method]
        codes[status] = codes.get(status, 0) + 1
        seconds.observe(took)
        return took

    def drop(self) -> None:
        """In the place of ``end``: another process answers the request, and counts it."""
        if self._handled is not None:
            self._handled.in_flight -= 1


class Traffic:
    """The requests of one daemon since it started."""

    def __init__(self) -> None:
        self.handled = {name: Handled() for name in (*HANDLERS.values(), _ELSEWHERE)}
        self._elsewhere: dict[Hashable, dict[str, int]] = {}
        """How many are in flight in other processes."""

    def begin(self, method: str) -> Record:
        return Record(self, method)

    def in_flight(self, handler: str) -> int:
        return self.handled[handler].in_flight + sum(flying.get(handler, 0) for flying in self._elsewhere.values())

    def take(self) -> dict[str, Any]:
        """What another process's ``add`` takes, in the forms of JSON; counting begins at nothing."""
        return {handler: handled.take() for handler, handled in self.handled.items() if handled.is_of_interest}

    def add(self, source: Hashable, taken: dict[str, Any]) -> None:
        """Count what ``source`` has taken since it was last asked; what is in flight there replaces what was."""
        for handler, counts in taken.items():
            self.handled[handler].add(counts)
        self._elsewhere[source] = {handler: counts["in_flight"] for handler, counts in taken.items()}

    def forget(self, source: Hashable) -> None:
        """It has ended, and nothing is in flight there."""
        self._elsewhere.pop(source, None)

    def collect(self) -> Iterator[Metric]:
        from registry.http import traffic_families  # noqa: PLC0415 (on use: who only counts does without its library)

        yield from traffic_families.collect(self)
