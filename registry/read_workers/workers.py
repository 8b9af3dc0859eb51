"""The read workers of a daemon: how they are started, given connections, told and asked things, and ended."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import trio

from registry.oci.digests import Digest
from registry.read_workers.link import socket_stream
from registry.read_workers.settings import ReadSettings
from registry.read_workers.worker import Worker, start
from registry.store.clock import boottime_ms
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.config import Settings
    from registry.http.dealing import Dealt
    from registry.http.monitor import Monitor
    from registry.read_workers.link import Message
    from registry.service.registry import Registry

_START_SECONDS = 20
"""So long the daemon waits for its workers when it starts: it serves without them too."""

_ANSWER_SECONDS = 0.5
_FOLLOW_SECONDS = 5
_END_SECONDS = 2

_WATCH_PARTS = 3
"""So often it is asked for a sign of life in the time after which one that gives none is ended."""

_STEADY_SECONDS = 30
_LONGEST_PAUSE_SECONDS = 30
"""One that has not lived for that long is started again after a pause, each time twice as long."""

_NOT_STARTED = -1

_KNOWN = 5000
_KNOWN_AT_ONCE = 100

log = structlog.get_logger()


class ReadWorkers:
    """Keep ``run`` going; ``deal`` then passes connections to whoever has the fewest."""

    def __init__(self, number: int, settings: Settings, registry: Registry, monitor: Monitor) -> None:
        self.number = number
        self._data = Path(settings.data).resolve()
        self._settings = ReadSettings.of(settings)
        self._registry = registry
        self._monitor = monitor
        self._workers: list[Worker] = []
        self._is_ending = False
        self._finished = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until ``end``; started when all workers are, or the first of them have failed."""
        self._monitor.sources.append(self._gather)
        self._registry.authentication.known_passwords.tell = self._tell_known
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                starting.cancel_scope.deadline = trio.current_time() + _START_SECONDS
                for _ in range(self.number):
                    started = trio.Event()
                    nursery.start_soon(self._keep, started)
                    starting.start_soon(started.wait)
            task_status.started()

    def deal(self, stream: trio.SocketStream, dealt: Dealt, served_here: int) -> bool:
        """See ``Dealer``."""
        worker = min(self._workers, key=lambda worker: len(worker.dealt), default=None)
        if worker is None or self._settings.is_limited or len(worker.dealt) > served_here:
            return False
        return worker.deal(stream, dealt)

    def finish(self) -> None:
        self._is_ending = True
        for worker in self._workers:
            worker.link.post({"finish": True})
        self._look_whether_finished()

    async def wait_finished(self) -> None:
        await self._finished.wait()

    def end(self) -> None:
        """End the processes, whatever they do."""
        self._is_ending = True
        for worker in self._workers:
            worker.link.close()

    async def follow(self, settings: Settings) -> None:
        """Take other settings: all workers have taken them when this returns, or have been ended."""
        self._settings = ReadSettings.of(settings)
        workers = list(self._workers)
        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(self._have_follow, worker)

    async def _have_follow(self, worker: Worker) -> None:
        if not await worker.ask(_FOLLOW_SECONDS, settings=self._settings.encoded()):
            worker.kill()

    async def _gather(self) -> None:
        """Bring what the workers have counted to where it is counted here."""
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(worker.ask, _ANSWER_SECONDS)

    def _tell_known(self, key: bytes, stored: str) -> None:
        for worker in self._workers:
            worker.link.post({"known": [(key.hex(), stored)]})

    async def _keep(self, started: trio.Event) -> None:
        """Keep one worker running."""
        pause_seconds = 0.0
        while True:
            began = trio.current_time()
            status = await self._live(started)
            started.set()
            if self._is_ending:
                return
            if trio.current_time() - began >= _STEADY_SECONDS:
                pause_seconds = 0
            log.warning("a read worker ended; another one takes its place", status=status, pause_seconds=pause_seconds)
            await trio.sleep(pause_seconds)
            pause_seconds = min(max(2 * pause_seconds, 0.25), _LONGEST_PAUSE_SECONDS)

    async def _live(self, started: trio.Event) -> int:
        """Run one worker to its end; its exit status."""
        try:
            worker = await start()
        except OSError as error:
            log.warning("a read worker can't be started", error=str(error))
            return _NOT_STARTED
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.link.run)
                worker.link.post(self._beginning())
                while (received := await worker.link.receive()) is not None:
                    self._obey(worker, received, nursery)
                    started.set()  # it has said that it is ready
                nursery.cancel_scope.cancel()
        finally:
            await self._part(worker)
        return worker.process.returncode or 0

    async def _watch(self, worker: Worker) -> None:
        """End one that hangs: its clients would wait for ever."""
        while True:
            seconds = self._registry.policy.stall_seconds
            await trio.sleep(seconds / _WATCH_PARTS)
            if not await worker.ask(seconds):
                log.error("a read worker does not answer", pid=worker.process.pid, seconds=seconds)
                worker.kill()

    def _beginning(self) -> dict[str, Any]:
        return {
            "data": str(self._data),
            "key": self._registry.authentication.known_passwords.key.hex(),
            "clock_ahead_ms": self._registry.database.clock.now_ms() - boottime_ms(),
            "is_restored": self._registry.restoration.is_open,
            "settings": self._settings.encoded(),
        }

    def _welcome(self, worker: Worker, requests: str) -> None:
        """From now on it gets connections, and is told what others are; so far it may have missed something."""
        log.info("a read worker runs", pid=worker.process.pid, requests=requests)
        worker.link.post({"settings": self._settings.encoded(), "number": 0})
        known = self._registry.authentication.known_passwords.newest(_KNOWN)
        newest = [(key.hex(), stored) for key, stored in known][::-1]
        for place in range(0, len(newest), _KNOWN_AT_ONCE):
            worker.link.post({"known": newest[place : place + _KNOWN_AT_ONCE]})
        if not self._is_ending:
            self._workers.append(worker)

    async def _part(self, worker: Worker) -> None:
        """The connections that it had have ended with it."""
        if worker in self._workers:
            self._workers.remove(worker)
        worker.leave()
        self._monitor.traffic.forget(worker)
        self._look_whether_finished()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(_END_SECONDS):
                await worker.process.wait()
            worker.kill()
            await worker.process.wait()

    def _obey(self, worker: Worker, message: Message, nursery: trio.Nursery) -> None:
        match message.document:
            case {"left": number}:
                worker.dealt.pop(number).leave()
            case {"back": number}:
                dealt = worker.dealt.pop(number)
                if message.files:
                    dealt.come_back(socket_stream(message.files[0]), message.data)
                else:
                    dealt.leave()
            case {"turned": turned}:
                for number, is_idle in turned:
                    worker.dealt[number].turn(idle=is_idle)
            case document:
                self._learn(worker, document, message.files, nursery)
        self._look_whether_finished()

    def _learn(self, worker: Worker, document: dict[str, Any], files: Sequence[int], nursery: trio.Nursery) -> None:
        match document:
            case {"ready": requests}:
                self._welcome(worker, requests)
                nursery.start_soon(self._watch, worker)
            case {"traffic": traffic, "times": times}:
                self._monitor.traffic.add(worker, traffic)
                self._registry.hops.add_times(times)
            case {"done": number}:
                worker.done(number)
            case {"damaged": digest, "kind": kind, "cause": cause} if files:
                nursery.start_soon(self._report, Digest.parse(digest), kind, cause, files[0])

    def _look_whether_finished(self) -> None:
        if self._is_ending and not any(worker.dealt for worker in self._workers):
            self._finished.set()

    async def _report(self, digest: Digest, kind: str, cause: str, descriptor: int) -> None:
        try:
            await self._registry.damage.report(digest, kind, cause, descriptor=descriptor)
        except (OSError, sqlite3.Error, StorageFull) as error:
            log.warning("damage that a read worker found is not noted", digest=str(digest), error=str(error))
        finally:
            os.close(descriptor)
