"""The daemon's view of one read worker: its process, what it is asked, and the connections that it has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import trio

from registry.read_workers.link import Link

if TYPE_CHECKING:
    from registry.http.dealing import Dealt

_OF_THE_DAEMON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""In the environment: what a service manager wants to hear of no other process."""


class Worker:
    """One process; ``dealt`` are the connections that it has, by their numbers."""

    def __init__(self, link: Link, process: trio.Process) -> None:
        self.link = link
        self.process = process
        self.dealt: dict[int, Dealt] = {}
        self._numbers = count(1)
        self._asked: dict[int, trio.Event] = {}

    def deal(self, stream: trio.SocketStream, dealt: Dealt) -> bool:
        number = next(self._numbers)
        if not self.link.try_send({"connection": number}, files=[stream.socket.fileno()]):
            return False
        self.dealt[number] = dealt
        dealt.enter(partial(self.link.post, {"stop": number}))
        return True

    async def ask(self, seconds: float, **question: Any) -> bool:
        """Whether it has done what it was asked for, and told what it has counted, within so many seconds."""
        number = next(self._numbers)
        done = self._asked[number] = trio.Event()
        self.link.post({**question, "number": number} if question else {"tell": number})
        try:
            with trio.move_on_after(seconds):
                await done.wait()
        finally:
            del self._asked[number]
        return done.is_set()

    def done(self, number: int) -> None:
        if number in self._asked:  # else nobody waits any more
            self._asked[number].set()

    def leave(self) -> None:
        """It has ended, with all its connections."""
        self.link.close()
        for dealt in self.dealt.values():
            dealt.leave()
        self.dealt.clear()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()


async def start() -> Worker:
    """Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        link = Link(ours)
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-P", "-m", "registry.read_workers", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name not in _OF_THE_DAEMON},
            )
        except BaseException:
            link.close()
            raise
    return Worker(link, process)
