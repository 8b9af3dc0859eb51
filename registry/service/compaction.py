"""The database's own size, and giving back what it does not use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.store import measure

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.measure import Size

_PAGES = 256
"""One transaction moves at most so many, a megabyte: that takes some milliseconds, in which others wait."""


async def read_size(registry: Registry) -> Size:
    return await registry.database.read_long(measure.measure)


async def vacuum(registry: Registry) -> Size:
    """Give all unused pages back to the file system but those kept for a full disk; what is left.

    Transactions of others go between; cancelled, it leaves the rest. (SQLite's own VACUUM would write the whole
    database once more, and let everybody wait for that.)
    """
    while await registry.database.write(measure.give_back, _PAGES) > 0:
        pass
    return await read_size(registry)
