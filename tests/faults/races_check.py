"""What has to be true after every race."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.oci.errors import BlobUnknown, ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.service import manifests
from registry.store import check
from tests.faults import races_requests
from tests.faults.races_content import NAMES, TAGS, blobs_of, children_of, manifest_of
from tests.faults.races_world import IDLE_MS
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx
    from tests.faults.races_history import History
    from tests.faults.races_world import World


class Check:
    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._tagged: set[tuple[str, bytes]] = set()

    async def run(self) -> None:
        """Look at everything, let garbage collection come to an end, and look again."""
        await self._look()
        if self._world.crashes == 0:
            await self._look_for_strays()
        for _ in range(4):
            self._world.jump(IDLE_MS + 1)
            await self._world.registry.garbage.run(walk=True)
        await self._look()
        await self._look_for_strays()
        await self._look_for_leavings()
        for finding in check.sqlite_findings(self._world.data / "registry.db"):
            self._world.lose(f"{finding.subject}: {finding.message}")

    async def _look(self) -> None:
        """Tags lead to all their content; the tables agree with themselves and with the files."""
        self._tagged.clear()
        for name in NAMES:
            for tag in TAGS:
                await self._look_at_tag(name, tag)
        database = self._world.registry.database
        for finding in await database.read(check.row_findings):
            self._world.lose(f"{finding.subject}: {finding.message}")
        for row in await database.read(check.list_blobs, after=""):
            path = self._world.data / "blobs" / row.digest.algorithm / row.digest.hex
            content = path.read_bytes() if path.exists() else None
            if row.damage is not None or content is None or Digest.of(content) != row.digest:
                self._world.lose(f"{row}: its file has {content!r}")

    async def _look_at_tag(self, name: str, tag: str) -> None:
        possible = self._history.possible(name, tag)
        try:
            content = await manifests.read(self._world.registry, RepositoryName(name), Tag(tag))
        except ManifestUnknown:
            found = None
        else:
            found = str(content.manifest.digest)
        if found not in possible:
            self._world.lose(f"{name}:{tag} is {found}, and can only be one of {possible}")
        elif found is not None:
            await self._look_at_manifest(name, found)

    async def _look_at_manifest(self, name: str, digest: str) -> None:
        """A child may be missing where somebody has deleted it by name."""
        try:
            content = await manifests.read(self._world.registry, RepositoryName(name), Digest.parse(digest))
        except ManifestUnknown:
            if (name, digest) not in self._history.deleted:
                self._world.lose(f"{name}@{digest} is gone although a tag leads to it")
            return
        manifest = manifest_of(digest)
        self._tagged.add((name, manifest))
        if content.body != manifest:
            self._world.lose(f"{name}@{digest} has other bytes: {content.body!r}")
        for blob in blobs_of(manifest):
            try:
                read = await races_requests.pull(self._world.registry, name, Digest.of(blob))
            except BlobUnknown:
                read = None
            if read != blob:
                self._world.lose(f"{name}@{digest} is tagged, and its blob {digest_of(blob)} is answered with {read!r}")
        for child in children_of(manifest):
            await self._look_at_manifest(name, digest_of(child))

    async def _look_for_strays(self) -> None:
        """Files without a row: only a crash may leave them, and they are swept."""
        data = self._world.data
        rows = {row.digest.hex for row in await self._world.registry.database.read(check.list_blobs, after="")}
        files = {path.name for folder in ("sha256", "sha512") for path in (data / "blobs" / folder).iterdir()}
        if strays := files - rows:
            self._world.lose(f"blob files without a row: {sorted(strays)}")
        uploads = await self._world.registry.database.read(_upload_ids)
        if strays := {path.name for path in (data / "uploads").iterdir()} - uploads:
            self._world.lose(f"upload files without a row: {sorted(strays)}")

    async def _look_for_leavings(self) -> None:
        """What no tag leads to is gone."""
        held = {digest_of(content) for _, manifest in self._tagged for content in blobs_of(manifest)}
        rows = {str(row.digest) for row in await self._world.registry.database.read(check.list_blobs, after="")}
        if rows != held:
            self._world.lose(f"tags lead to the blobs {sorted(held)}, and there are {sorted(rows)}")
        manifests_left = await self._world.registry.database.read(_manifests)
        tagged = {(name, digest_of(manifest)) for name, manifest in self._tagged}
        if manifests_left != tagged:
            self._world.lose(f"tags lead to the manifests {sorted(tagged)}, and there are {sorted(manifests_left)}")


def _upload_ids(tx: ReadTx) -> set[str]:
    return {upload_id for (upload_id,) in tx.execute("SELECT id FROM upload")}


def _manifests(tx: ReadTx) -> set[tuple[str, str]]:
    return set(
        tx.execute("SELECT name, digest FROM manifest JOIN repository ON repository.id = repository_id").fetchall()
    )
