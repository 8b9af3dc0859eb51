"""A registry of any size, made by SQL below HTTP: a million manifests take some minutes.

Manifests are real: packed as a push packs them, and their edges are what the registry's parser reads in them. Blobs are
rows with no file, which is enough for whatever does not read their content.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from registry.oci import manifest as oci_manifest
from registry.oci.digests import Digest
from registry.oci.media_types import OCI_IMAGE
from registry.store import bodies
from registry.store.clock import wall_ms
from registry.store.database import Database
from registry.store.hops import Hops
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = "team/large"
"""The repository with a tenth of all tags."""

CLOCK_MS = 30 * 24 * 3_600_000
"""Where the daemon's clock stands: what is marked as garbage was so when it stood at 0."""

_BASES = 500
"""Layers that images share; each has two of them."""

_BATCH = 1000

_TABLES = {
    "repository": "id, name, created_ms",
    "blob": "id, digest, size, created_ms, condemned_clock_ms, verified_clock_ms",
    "repository_blob": "repository_id, blob_id, linked_ms, unreferenced_clock_ms",
    "manifest": "id, repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_ms",
    "manifest_body": "manifest_id, body, dictionary",
    "edge": "manifest_id, kind, digest, repository_id, blob_id",
    "tag": "repository_id, name, manifest_id",
    "tag_history": "repository_id, tag, changed_ms, changed_clock_ms, principal, new_digest",
    "audit": "at_ms, clock_ms, principal, key, address, action, repository, subject, after",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of what there are. ``large`` of the images are in one repository.

    ``referrers`` have one subject, the first image. ``garbage``: so many images have no tag, so many links no manifest,
    and so many blobs are condemned.
    """

    images: int
    large: int
    repositories: int
    referrers: int
    garbage: int

    @classmethod
    def of(cls, manifests: int) -> Shape:
        """As many tags as manifests: the first images have a second one, for those that have none."""
        rest = manifests // 100
        return cls(manifests - 2 * rest, manifests // 10 - 2 * rest, manifests // 1000 + 100, rest, rest)

    def repository(self, number: int) -> str:
        """Where the image of that number is; those after ``images`` have no tag."""
        return LARGE if number < self.large else f"team/app-{number % self.repositories:05}"


EMPTY = Shape(images=500, large=300, repositories=200, referrers=200, garbage=0)
"""A full page of everything, and next to nothing behind it: so a page takes what its content takes."""


def tag_of(number: int) -> str:
    return f"v{number:08}"


def config_of(number: int) -> bytes:
    """The content of an image's config."""
    return json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode()


def _base(number: int) -> tuple[Digest, int]:
    """A layer that images share, and its size."""
    return Digest.of(f"base {number % _BASES}".encode()), 3_000_000 + number % _BASES


def image_of(number: int) -> bytes:
    """The manifest of an image: two layers that others have too, and two of its own."""
    annotations = {
        "org.opencontainers.image.revision": Digest.of(b"%d" % number).hex[:40],
        "org.opencontainers.image.source": "https://git.example/team/app",
    }
    own = [(Digest.of(f"{kind} {number}".encode()), 20_000 + number % 1_000_003) for kind in ("code", "assets")]
    return _manifest(config_of(number), _base(number), _base(number * 7 + 1), *own, annotations=annotations)


def referrer_of(number: int) -> bytes:
    """The manifest of a signature of the first image."""
    subject, signature = image_of(0), (Digest.of(f"signature {number}".encode()), 300)
    about = {"mediaType": OCI_IMAGE, "digest": str(Digest.of(subject)), "size": len(subject)}
    more = {"artifactType": "application/vnd.example.signature", "annotations": {"number": str(number)}}
    return _manifest(b"{}", signature, subject=about, **more)


def _manifest(config: bytes, *layers: tuple[Digest, int], **more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": {"mediaType": CONFIG_TYPE, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": str(digest), "size": size} for digest, size in layers],
        **more,
    }
    return json.dumps(document).encode()


def make(data: Path, shape: Shape) -> None:
    """Create the database in a data folder that no daemon has had yet."""
    data.mkdir(parents=True)
    path = data / "registry.db"
    trio.run(_create, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA cache_size = -1500000")
        connection.execute("BEGIN")
        _Filling(connection, shape).run()
        connection.execute("UPDATE daemon SET clock_ms = ?", (CLOCK_MS,))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


async def _create(path: Path) -> None:
    database = Database(path, Hops())
    await database.open()
    await database.close()


class _Filling:
    """Rows that wait to be inserted, and what is known of those that were."""

    def __init__(self, connection: sqlite3.Connection, shape: Shape) -> None:
        self._connection = connection
        self._shape = shape
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
        self._ids: Iterator[int] = itertools.count(1)
        self._repositories: dict[str, int] = {}
        self._shared: dict[str, int | None] = {str(_base(number)[0]): None for number in range(_BASES)}
        self._links: set[tuple[int, int]] = set()
        self._now_ms = wall_ms()

    def run(self) -> None:
        shape = self._shape
        self._shared[str(Digest.of(b"{}"))] = None
        for number in range(shape.images + shape.garbage):
            tags = [tag_of(number)] if number < shape.images else []
            if number < shape.referrers + shape.garbage:
                tags.append(f"stable-{number}")
            self._add(shape.repository(number), image_of(number), tags)
        for number in range(shape.referrers):
            self._add(LARGE, referrer_of(number), [])
        for number in range(shape.garbage):
            repository = self._repository(shape.repository(number))
            self._link(repository, str(Digest.of(b"unused %d" % number)), 5000, unreferenced_ms=0)
            self._blob(str(Digest.of(b"condemned %d" % number)), 5000, condemned_ms=0)
        self._insert()

    def _add(self, name: str, body: bytes, tags: list[str]) -> None:
        """A manifest, as ``store.manifests.add`` and ``store.tags.point`` would leave it, with its blobs."""
        parsed, digest = oci_manifest.parse(body, OCI_IMAGE), str(Digest.of(body))
        document, repository, manifest = json.loads(body), self._repository(name), next(self._ids)
        sizes = {each["digest"]: each["size"] for each in (document["config"], *document["layers"])}
        subject = None if parsed.subject is None else str(parsed.subject)
        shown = None if subject is None else json.dumps(parsed.annotations)
        row = (manifest, repository, digest, OCI_IMAGE, len(body), subject, parsed.artifact_type, shown, self._now_ms)
        self._rows["manifest"].append(row)
        self._rows["manifest_body"].append((manifest, *bodies.pack(body)))
        for edge in parsed.edges:
            target = str(edge.digest)
            blob = self._link(repository, target, sizes[target])
            self._rows["edge"].append((manifest, edge.kind.value, target, repository, blob))
        for tag in tags:
            self._rows["tag"].append((repository, tag, manifest))
            self._rows["tag_history"].append((repository, tag, self._now_ms, CLOCK_MS, "benchmark", digest))
            entry = (self._now_ms, CLOCK_MS, "benchmark", "", "127.0.0.1", "tag created", name, tag, digest)
            self._rows["audit"].append(entry)
        if len(self._rows["manifest"]) == _BATCH:
            self._insert()

    def _repository(self, name: str) -> int:
        if name not in self._repositories:
            self._repositories[name] = len(self._repositories) + 1
            self._rows["repository"].append((self._repositories[name], name, self._now_ms))
        return self._repositories[name]

    def _link(self, repository: int, digest: str, size: int, *, unreferenced_ms: int | None = None) -> int:
        """The blob's id. ``unreferenced_ms``: no manifest of the repository refers to it since then."""
        blob = self._shared.get(digest)
        if blob is None:
            blob = self._blob(digest, size)
        if digest in self._shared:
            self._shared[digest] = blob
            if (repository, blob) in self._links:
                return blob
            self._links.add((repository, blob))
        self._rows["repository_blob"].append((repository, blob, self._now_ms, unreferenced_ms))
        return blob

    def _blob(self, digest: str, size: int, *, condemned_ms: int | None = None) -> int:
        blob = next(self._ids)
        self._rows["blob"].append((blob, digest, size, self._now_ms, condemned_ms, CLOCK_MS))
        return blob

    def _insert(self) -> None:
        """What a row refers to stands in a table before its own."""
        for table, columns in _TABLES.items():
            places = ", ".join("?" for _ in columns.split(","))
            self._connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", self._rows[table])
            self._rows[table].clear()
