"""What holds a digest, or when it goes, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.service import explanation
from registry.service.policy import GarbagePolicy
from tests.tools.content import CONFIG, descriptor, digest_of, image, index, push_blob, push_image, push_manifest
from tests.tools.life import DAY, HORIZON, LEASE, Life

if TYPE_CHECKING:
    from tests.tools.life import Opened

UNTAGGED = GarbagePolicy(untagged_after_seconds=2 * DAY)


async def explain(opened: Opened, content: bytes) -> str:
    return " ".join(await explanation.explain(opened.registry, Digest.parse(digest_of(content))))


async def test_nothing_is_said_of_what_is_not_known(life: Life) -> None:
    async with life.opened() as opened:
        assert await explanation.explain(opened.registry, Digest.parse(digest_of(b"?"))) == []


async def test_a_blob_is_held_by_manifests_named_by_their_tags(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        await push_image(opened.client, "team/app", "2", b"layer", annotations={"n": "2"})
        untagged = image(b"layer", annotations={"n": "3"})
        await push_manifest(opened.client, "team/app", digest_of(untagged), untagged)
        said = await explain(opened, b"layer")
        assert said.startswith("It is a blob of 5 bytes. team/app holds it by ")
        assert set(said.removesuffix(".").partition(" by ")[2].split("; ")) == {"1", "2", digest_of(untagged)}


async def test_the_stations_of_a_blob_that_goes(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, "team/app", b"layer")
        said = await explain(opened, b"layer")
        assert "a client may be about to use it (gc.lease_seconds); it goes in 24 hours at the earliest" in said
        life.go_on(LEASE)
        said = await explain(opened, b"layer")
        assert "no manifest there refers to it for 60 minutes; it goes in 23 hours at the earliest (gc.grace)" in said
        life.go_on(DAY - LEASE)
        assert "it goes with the next run" in await explain(opened, b"layer")
        await opened.registry.garbage.run()
        life.go_on(HORIZON - 3 * DAY)
        said = await explain(opened, b"layer")
        assert "No repository has it any more (for 4 days); its file is removed in 3 days" in said
        life.go_on(3 * DAY)
        assert "its file is removed with the next run" in await explain(opened, b"layer")


async def test_a_damaged_blob(life: Life) -> None:
    async with life.opened() as opened:
        digest = await push_blob(opened.client, "team/app", b"layer")
        life.blob(digest).unlink()
        await opened.status("GET", f"team/app/blobs/{digest}")
        assert "Its file is missing: the next push heals it" in await explain(opened, b"layer")


async def test_a_manifest_is_held_by_tags_indexes_and_its_subject(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        base = await push_image(opened.client, "team/app", "1", b"layer")
        about = image(b"layer", subject=descriptor(base, "application/vnd.oci.image.manifest.v1+json"))
        await push_manifest(opened.client, "team/app", "2", about)
        await push_manifest(opened.client, "team/app", "all", index(about))
        said = await explain(opened, about)
        assert said == (
            f"It is a manifest in team/app, where the tag 2, the index {digest_of(index(about))},"
            f" its subject {digest_of(base)} may lead to it; it stays."
        )


async def test_the_stations_of_a_manifest_that_goes(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        await push_manifest(opened.client, "team/app", digest_of(image()), image())
        assert "nothing leads to it; the next run marks it as untagged" in await explain(opened, image())
        await opened.registry.garbage.run()
        life.go_on(DAY)
        assert "no tag leads there for 24 hours; it goes in 24 hours at the earliest" in await explain(opened, image())
        life.go_on(DAY)
        assert "it goes with the next run (gc.untagged_after)" in await explain(opened, image())
        await opened.registry.garbage.run()
        assert await explain(opened, image()) == ""


async def test_an_untagged_manifest_that_is_kept(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        await push_manifest(opened.client, "team/app", digest_of(image()), image())
        assert "it stays, for untagged manifests are kept (gc.untagged_after is not set)" in await explain(
            opened, image()
        )


# It says that nothing leads there and that it stays, and not why.
async def test_a_manifest_that_is_held_by_a_lease(life: Life) -> None:
    async with life.opened(UNTAGGED) as opened:
        await push_blob(opened.client, "team/app", CONFIG)
        await push_manifest(opened.client, "team/app", digest_of(image()), image())
        await opened.registry.garbage.run()
        assert await opened.status("HEAD", f"team/app/manifests/{digest_of(image())}") == 200
        assert "gc.lease_seconds" in await explain(opened, image())


async def test_a_file_without_a_row(life: Life) -> None:
    async with life.opened() as opened:
        life.blob(digest_of(b"orphan")).write_bytes(b"orphan")
        said = await explain(opened, b"orphan")
        assert said.startswith("It is an orphan: a file of 6 bytes that the database does not know; the next run")
        await opened.registry.garbage.run(walk=True)
        life.go_on(2 * DAY)
        said = await explain(opened, b"orphan")
        assert "seen for 2 days; it goes in 5 days at the earliest (gc.horizon). A push takes it." in said
        life.go_on(HORIZON)
        assert "it goes with the next run" in await explain(opened, b"orphan")
        opened.registry.restoration.is_open = True
        assert "but nothing is swept until cargohold recover" in await explain(opened, b"orphan")
        opened.registry.restoration.is_open = False
        await push_blob(opened.client, "team/app", b"orphan")
        assert (await explain(opened, b"orphan")).startswith("It is a blob of 6 bytes.")
