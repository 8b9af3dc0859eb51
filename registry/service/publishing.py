"""Blobs become durable in groups: the files that wait while a group is brought to the disk make the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from registry.store.files import Files
    from registry.store.hops import Hops
    from registry.store.upload_files import Publication

_GROUP_LIMIT = 64
"""Most files of one hop, which must not take as long as one that hangs."""


class Publisher:
    """One hop at a time syncs and renames all files that wait: they share the sync of the folder."""

    def __init__(self, files: Files, hops: Hops) -> None:
        self._files = files
        self._hops = hops
        self._waiting: list[tuple[Publication, trio.Event]] = []
        """The first of them publishes them all, as soon as its event tells it to."""
        self._is_busy = False

    async def publish(self, publication: Publication) -> None:
        """Returns when the file is durable under its digest, and closed. Must not be cancelled.

        Raises StorageFull, OSError.
        """
        turn = trio.Event()
        self._waiting.append((publication, turn))
        if self._is_busy:
            await turn.wait()
        if self._waiting and self._waiting[0][1] is turn:
            await self._publish_group()
        if not publication.is_durable:
            raise publication.error or RuntimeError("the group of this file broke off")

    async def _publish_group(self) -> None:
        group, self._waiting = self._waiting[:_GROUP_LIMIT], self._waiting[_GROUP_LIMIT:]
        self._is_busy = True
        try:
            await self._hops(self._files.publish, [publication for publication, _ in group])
        finally:
            self._is_busy = bool(self._waiting)
            for _, turn in (*group, *self._waiting[:1]):
                turn.set()
