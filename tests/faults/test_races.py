from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from registry.service.locks import KeyedLocks
from registry.store import blobs, garbage, links, manifests
from tests.faults import races

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

SEEDS = range(400)
"""A mistake has to show within so many."""


def test_the_same_seed_is_the_same_schedule() -> None:
    first, second = races.play([7]), races.play([7])
    assert first.schedules == second.schedules
    assert first.trace == second.trace
    assert len(races.play(range(10)).schedules) == 10


def test_a_few_schedules_lose_nothing() -> None:
    outcome = races.play(range(1000, 1040))
    assert outcome.lost == []
    assert outcome.figures["acknowledged"] > 200
    assert all(outcome.figures[name] for name in ("crashes", "links", "removed", "manifests"))


def test_a_blob_that_is_seen_without_a_lease_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(tx: Any, name: Any, digest: Any, *, lease_ms: int) -> bool:
        return blobs.find(tx, name, digest) is not None

    monkeypatch.setattr(links, "lease", look)
    assert any("misses" in sentence and "seen" in sentence for sentence in lost())


def test_a_blob_that_is_pushed_without_a_lease_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = links.add
    monkeypatch.setattr(links, "add", lambda *args, lease_ms: real(*args, lease_ms=0))
    assert any("misses" in sentence and "pushed" in sentence for sentence in lost())


def test_a_link_that_is_collected_without_a_second_question_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def collect_link(tx: Any, link: tuple[int, int], *, grace_ms: int) -> tuple[bool, int | None]:
        return True, 1 if links.remove(tx, *link) else None

    monkeypatch.setattr(garbage, "collect_link", collect_link)
    assert lost()


def test_a_manifest_that_is_collected_without_a_second_question_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def collect_manifest(tx: Any, manifest: int, *, untagged_after_ms: int) -> None:
        if tx.execute("SELECT 1 FROM manifest WHERE id = ?", manifest).fetchone():
            tx.execute("DELETE FROM tag WHERE manifest_id = ?", manifest)
            manifests.remove(tx, manifest)

    monkeypatch.setattr(garbage, "collect_manifest", collect_manifest)
    assert lost()


def test_files_without_the_lock_of_their_digest_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def hold(_self: KeyedLocks[Any], _key: Any) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(KeyedLocks, "hold", hold)
    assert lost()


def lost() -> list[str]:
    return races.play(SEEDS, until_lost=True).lost
