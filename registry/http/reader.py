"""A connection in a read worker, for as long as its client asks for nothing else."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import structlog
import trio

from registry.http.access_log import ClientGone
from registry.http.exchange import Exchange
from registry.http.express import Lane
from registry.http.wire import Wire
from registry.service.here import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.http.answers import Answer
    from registry.http.exchange import Incoming
    from registry.http.express import Express

_FIRST_REQUEST_SECONDS = 1
"""See ``connection``."""

log = structlog.get_logger()


class ReadingExchange(Exchange):
    """Answers what it can; what goes wrong on the way to an answer is for the main process to answer."""

    def failure(self, incoming: Incoming, error: Exception) -> Answer:
        if not isinstance(error, NotHere):
            log.warning("a read worker can't answer", path=incoming.path, reason=repr(error))
        raise NotHere from error


class Reader:
    """``on_turn`` is called when a request begins and when it has ended."""

    def __init__(
        self,
        stream: trio.SocketStream,
        scope: dict[str, Any],
        stall_seconds: float,
        express: Callable[[], Express],
        on_turn: Callable[[], None],
    ) -> None:
        self._stall_seconds = stall_seconds
        self._express = express
        self._on_turn = on_turn
        self._wire = Wire(stream, stall_seconds, self.stop)
        self._lane = Lane(self._wire, scope, self._begin)
        self._waiting = trio.CancelScope()
        self._ends_at = inf
        """Until then a request may still come; one that has come is answered, and once."""
        self._is_new = True
        self.is_idle = True

    def stop(self) -> None:
        """End the connection as soon as no request is in flight."""
        self._end_at(-inf)

    def finish(self) -> None:
        """Likewise, but answer the first request of one who came at this moment."""
        self._end_at(trio.current_time() + _FIRST_REQUEST_SECONDS if self._is_new else -inf)

    async def run(self) -> bytes:
        """Serve the client until it goes away or has to, or asks for what is not answered here: what it has sent."""
        left = b""
        while not left and not self._wire.is_gone and (data := await self._receive()):
            left = await self._serve(data)
            if self._lane.stopping:
                break
        return b"" if self._wire.is_gone else left

    async def _serve(self, data: bytes) -> bytes:
        """What is left for the main process. Nothing that happens leaves the connection, cancellation aside."""
        try:
            return await self._lane.serve(self._express, data)
        except ClientGone:
            return b""
        except Exception:  # the guard: what a client provokes ends here
            log.exception("connection failed")
            self._wire.is_gone = True
            return b""
        finally:
            self.is_idle = True
            self._on_turn()

    async def _receive(self) -> bytes:
        """Nothing where the client has ended, broken or stalled the connection."""
        deadline = min(trio.current_time() + self._stall_seconds, self._ends_at)
        with trio.CancelScope(deadline=deadline) as self._waiting:
            try:
                return await self._wire.receive()
            except trio.BrokenResourceError:
                self._wire.is_gone = True
        return b""

    def _begin(self) -> None:
        self._is_new = self.is_idle = False
        self._on_turn()

    def _end_at(self, moment: float) -> None:
        self._lane.stopping = True
        self._ends_at = min(self._ends_at, moment)
        self._waiting.deadline = min(self._waiting.deadline, moment)
