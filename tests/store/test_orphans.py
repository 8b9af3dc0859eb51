"""Files that no row knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.oci.upload import Upload
from registry.store import blobs, orphans, uploads
from registry.store.clock import Clock
from tests.store.conftest import opened
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from registry.store.database import Database

NAME = RepositoryName.parse("team/app")
DIGEST = Digest.parse(digest_of(b"layer"))
BLOB = f"blobs/sha256/{DIGEST.hex}"
UPLOAD = "uploads/11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        (BLOB, True),
        (f"blobs/sha512/{'0' * 128}", True),
        (UPLOAD, True),
        ("blobs/mark", False),
        ("blobs/sha256/notes.txt", False),
        (f"blobs/sha256/{DIGEST.hex.upper()}", False),
        (f"blobs/sha256/{DIGEST.hex}.old", False),
        (f"blobs/sha512/{DIGEST.hex}", False),
        (f"blobs/sha256/x/{DIGEST.hex}", False),
        (f"other/sha256/{DIGEST.hex}", False),
    ],
)
def test_names_that_are_ours(path: str, is_ours: bool) -> None:
    assert orphans.is_ours(path) == is_ours


async def test_a_row_makes_a_file_no_orphan(database: Database) -> None:
    paths = [BLOB, UPLOAD]
    assert await database.read(orphans.without_row, paths) == paths
    for path in paths:
        await database.write(orphans.note, path)
    await database.write(blobs.add, NAME, DIGEST, 5, lease_ms=0)
    await database.write(uploads.add, Upload(UPLOAD.removeprefix("uploads/"), NAME, "sha256", 0), "anybody")
    assert await database.read(orphans.without_row, paths) == []
    assert await database.read(orphans.due, horizon_ms=0, upload_idle_ms=0) == [UPLOAD]
    assert not await database.write(orphans.forget, UPLOAD)
    for path in paths:
        await database.write(orphans.note, path)
    assert await database.read(orphans.due, horizon_ms=0, upload_idle_ms=0) == []


async def test_their_age_is_counted_from_when_they_were_seen_first(tmp_path: Path) -> None:
    now = 0
    async with opened(tmp_path / "registry.db", Clock(source=lambda: now)) as database:

        async def due() -> list[str]:
            return await database.read(orphans.due, horizon_ms=100, upload_idle_ms=10)

        for path in (BLOB, UPLOAD):
            await database.write(orphans.note, path)
        now = 9
        for path in (BLOB, UPLOAD):
            await database.write(orphans.note, path)
        assert await due() == []
        now = 10
        assert await due() == [UPLOAD]
        now = 99
        assert await due() == [UPLOAD]
        now = 100
        assert await due() == [BLOB, UPLOAD]
        assert await database.write(orphans.forget, BLOB)
        assert await due() == [UPLOAD]
