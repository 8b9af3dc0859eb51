"""What is remembered of the switch is what the database has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from registry.store.audit import Author
from registry.store.failures import CommitUnknown

if TYPE_CHECKING:
    from registry.service.registry import Registry

AUTHOR = Author("operator")


async def test_a_switch_whose_commit_is_unknown_is_looked_up(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = registry.database.write

    async def write_and_doubt(*args: Any) -> None:
        await write(*args)
        raise CommitUnknown("perhaps")

    monkeypatch.setattr(registry.database, "write", write_and_doubt)
    for reason in ("moving house", None):
        with pytest.raises(CommitUnknown):
            await registry.mode.set(AUTHOR, reason)
        assert registry.mode.current.reason == reason


async def test_a_switch_that_failed_changes_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_args: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(registry.database, "write", fail)
    with pytest.raises(OSError, match="no room"):
        await registry.mode.set(AUTHOR, "moving house")
    assert registry.mode.current.reason is None
