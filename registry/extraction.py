"""One repository out of a backup, into the registry as it is now. It is loaded on use."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from registry.display import progress_bar
from registry.store import backups
from registry.transfer.errors import RequestFailed
from registry.transfer.progress import watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName
    from registry.store.copies import Copies
    from registry.store.transactions import ReadTx
    from registry.transfer.client import Client
    from registry.transfer.progress import Readable


class NoSuchRepository(RequestFailed):
    """The backup does not know it."""


class _Nowhere(Exception):
    """No folder has the file."""


@dataclass
class Extracted:
    """``tags_kept`` lead elsewhere by now, and were left alone. ``missing``: digest and reason."""

    manifests: int = 0
    blobs: int = 0
    tags: int = 0
    tags_kept: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


class Extraction:
    """Pushes as any client does: what is there is left alone, and it can be run again."""

    def __init__(self, client: Client, tx: ReadTx, name: RepositoryName, folders: Sequence[Copies]) -> None:
        self._client = client
        self._tx = tx
        self._name = name
        self._folders = folders
        self._seen: dict[Digest, str | None] = {}
        """The blobs that were looked after, and what kept each of them from being there."""
        self._done = Extracted()

    def run(self, *, move_tags: bool) -> Extracted:
        """Raises NoSuchRepository, RequestFailed, OSError."""
        manifests = backups.list_manifests(self._tx, self._name)
        if manifests is None:
            raise NoSuchRepository(f"the backup has no repository {self._name}")
        self._push_all(manifests)
        for tag, digest in backups.list_tags(self._tx, self._name):
            current = self._client.digest_of(self._name, tag)
            if current == digest:
                continue
            if current is not None and not move_tags:
                self._done.tags_kept.append(str(tag))
            elif digest in manifests and self._client.digest_of(self._name, digest) == digest:
                stored = backups.read_manifest(self._tx, manifests[digest])
                self._client.push_manifest(self._name, digest, [tag], stored.media_type, stored.body)
                self._done.tags += 1
            else:
                self._done.missing.append((str(tag), "has lost its manifest"))
        self._done.missing += [(str(digest), fault) for digest, fault in self._seen.items() if fault is not None]
        return self._done

    def _push_all(self, manifests: dict[Digest, int]) -> None:
        """What an index needs is mostly older than it; what was refused for its sake is tried again after the rest."""
        waiting = manifests
        while waiting:
            refused: dict[Digest, str] = {}
            for digest, row in waiting.items():
                try:
                    self._push(digest, row, manifests)
                except RequestFailed as error:
                    refused[digest] = str(error)
            if len(refused) == len(waiting):
                self._done.missing += [(str(digest), f"was refused: {error}") for digest, error in refused.items()]
                return
            waiting = {digest: manifests[digest] for digest in refused}

    def _push(self, digest: Digest, row: int, manifests: dict[Digest, int]) -> None:
        stored = backups.read_manifest(self._tx, row)
        for needed in stored.needs:
            if needed not in manifests and needed not in self._seen:
                self._seen[needed] = self._push_blob(needed)
        if self._client.digest_of(self._name, digest) is None:
            self._client.push_manifest(self._name, digest, [], stored.media_type, stored.body)
            self._done.manifests += 1

    def _push_blob(self, digest: Digest) -> str | None:
        """What kept the blob from being there."""
        if self._client.has_blob(self._name, digest):
            return None
        try:
            self._client.push_blob(self._name, digest, partial(self._open, digest))
        except _Nowhere:
            return "is not there"
        except RequestFailed as error:
            return f"was refused: {error}"
        self._done.blobs += 1
        return None

    @contextmanager
    def _open(self, digest: Digest) -> Iterator[Readable]:
        """The first file there is; whether it is what its digest says is asked by who stores it."""
        path = next((each.path_of(digest) for each in self._folders if each.size_of(digest) is not None), None)
        if path is None:
            raise _Nowhere
        with path.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            with watched(content, size, digest, progress_bar) as readable:
                yield readable
