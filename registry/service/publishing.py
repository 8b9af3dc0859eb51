"""Blobs become durable in groups: the files that wait while a group is brought to the disk make the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Concatenate, ParamSpec

import trio

from registry.store.failures import closed
from registry.store.jobs import Job, Queue, fail_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.store.database import Database
    from registry.store.files import Files
    from registry.store.hops import Hops
    from registry.store.transactions import WriteTx
    from registry.store.upload_files import Publication

P = ParamSpec("P")

_GROUP_LIMIT = 64
"""Most files of one hop, which must not take as long as one that hangs."""


class Publisher:
    """One hop at a time syncs and renames all files that wait: they share the sync of the folder.

    From there they go to the writer of the database without a look at who waits, who is woken once, at the end. Keep
    ``run`` going in a nursery.
    """

    def __init__(self, files: Files, hops: Hops, database: Database) -> None:
        self._files = files
        self._hops = hops
        self._database = database
        self._queue: Queue[tuple[Publication, Job[None]]] = Queue()

    async def publish(
        self,
        publication: Publication,
        function: Callable[Concatenate[WriteTx, P], None],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Make the file durable under its digest, and close it; then run the function in a transaction.

        Returns after COMMIT. A cancellation is left for later. Raises StorageFull, OSError, and as Database.write.
        """
        job = Job(function, args, kwargs)
        if not self._queue.put((publication, job)):
            raise closed()
        try:
            await job.outcome()
        finally:
            del job  # as in Job.outcome

    async def run(self) -> None:
        """Publish what waits, in groups, until cancelled."""
        try:
            while True:
                await self._publish_group(await self._queue.take(_GROUP_LIMIT))
        finally:
            for _, job in self._queue.close():
                job.end(closed())

    async def _publish_group(self, group: list[tuple[Publication, Job[None]]]) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._hops(self._files.publish, [publication for publication, _ in group])
        except Exception as error:  # noqa: BLE001 (it is raised where the uploads are waited for)
            fail_all((job for _, job in group), error, RuntimeError)
        finally:
            for publication, job in group:
                if publication.is_durable:
                    self._database.queue(job)
                else:
                    job.end(publication.error or job.error or RuntimeError("the group of this file broke off"))
