"""What is counted by triggers is what there is, whatever came and went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName
from registry.service import repositories
from registry.service.principals import OPERATOR
from registry.store import blobs, check, holdings
from tests.tools.content import CONFIG, digest_of, push_blob, push_image

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.asgi import Client
    from tests.tools.life import Life

LAYER, LOOSE = b"a layer", b"nobody needs this"


async def counts(registry: Registry) -> tuple[int, ...]:
    """Repositories, blobs and their bytes, manifests, tags; fsck agrees with them."""
    assert await registry.database.read(check.row_findings) == []
    found = await registry.database.read(holdings.take_inventory)
    return found.repositories, found.blobs, found.blob_bytes, found.manifests, found.tags


async def test_counts_follow_what_clients_do(registry: Registry, client: Client) -> None:
    assert await counts(registry) == (0, 0, 0, 0, 0)
    first = await push_image(client, "team/app", "1", LAYER)
    size = len(CONFIG) + len(LAYER)
    assert await counts(registry) == (1, 2, size, 1, 1)
    for tag in ("1", "2"):  # a tag that moves, and a new one
        await push_image(client, "team/app", tag, LAYER, annotations={"other": "one"})
    assert await counts(registry) == (1, 2, size, 2, 2)
    await push_image(client, "team/more", "1", LAYER)
    await push_blob(client, "team/more", LOOSE)
    assert await counts(registry) == (2, 3, size + len(LOOSE), 3, 3)
    for reference in (digest_of(first), "2"):
        assert (await client("DELETE", f"/v2/team/app/manifests/{reference}")).status == 202
    assert await counts(registry) == (2, 3, size + len(LOOSE), 2, 2)
    await repositories.delete(registry, OPERATOR.author, RepositoryName.parse("team/app"))
    assert await counts(registry) == (1, 3, size + len(LOOSE), 1, 1)


async def test_counts_follow_garbage_collection(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, "team/app", LOOSE)
        life.go_on(30 * 24 * 3600)
        await opened.registry.garbage.run()
        found = await opened.registry.database.read(holdings.take_inventory)
        assert (found.condemned_blobs, found.condemned_bytes) == (1, len(LOOSE))
        assert await counts(opened.registry) == (1, 1, len(LOOSE), 0, 0)
        life.go_on(30 * 24 * 3600)
        await opened.registry.garbage.run()
        assert await counts(opened.registry) == (1, 0, 0, 0, 0)


async def test_counts_follow_a_size_and_what_a_transaction_takes_back(registry: Registry) -> None:
    name, digest = RepositoryName.parse("team/app"), Digest.of(LOOSE)

    def fail(tx: WriteTx) -> None:
        blobs.add(tx, name, Digest.of(LAYER), 1, lease_ms=0)
        raise ZeroDivisionError

    for size in (5, 7):
        await registry.database.write(blobs.add, name, digest, size, lease_ms=0)
    with pytest.raises(ZeroDivisionError):
        await registry.database.write(fail)
    assert await counts(registry) == (1, 1, 7, 0, 0)


async def test_what_is_counted_wrong_is_found(registry: Registry) -> None:
    columns = ("repositories", "blobs", "blob_bytes", "manifests", "tags")
    await registry.database.write(lambda tx: tx.execute(f"UPDATE daemon SET {' = 3, '.join(columns)} = 3"))
    findings = await registry.database.read(check.row_findings)
    assert [finding.subject for finding in findings] == [
        "the number of repositories",
        "the number of blobs",
        "the size of blobs",
        "the number of manifests",
        "the number of tags",
    ]
