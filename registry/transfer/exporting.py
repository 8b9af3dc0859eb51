"""From the registry into an OCI image layout, byte for byte (image-spec, image-layout.md)."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from registry.oci import manifest as oci_manifest
from registry.oci.digests import ContentHash, Digest
from registry.oci.manifest import EdgeKind
from registry.transfer.client import PIECE_BYTES
from registry.transfer.errors import ExportFailed
from registry.transfer.layouts import REF_NAME, blob_name
from registry.transfer.progress import unseen, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.oci.names import RepositoryName, Tag
    from registry.transfer.client import Client
    from registry.transfer.progress import Progress, Readable


class Destination(Protocol):
    def has(self, digest: Digest) -> bool: ...

    def add(self, name: str, content: Readable, size: int) -> None:
        """Write a member under its name in the layout."""


class Exporter:
    """Writes one image; ``say`` is told of each blob and of what a sparse image lacks, ``progress`` of large blobs."""

    def __init__(
        self,
        client: Client,
        name: RepositoryName,
        destination: Destination,
        say: Callable[[str], None],
        progress: Progress = unseen,
    ) -> None:
        self._client = client
        self._name = name
        self._destination = destination
        self._say = say
        self._progress = progress
        self._written: set[Digest] = set()

    def write(self, reference: Tag | Digest) -> Digest:
        """Write the image, what it refers to, and the layout's own files. Raises TransferFailed, OSError."""
        digest = reference if isinstance(reference, Digest) else self._client.digest_of(self._name, reference)
        found = None if digest is None else self._write_manifest(digest)
        if digest is None or found is None:
            raise ExportFailed(f"{self._name} has no manifest {reference}")
        media_type, size = found
        entry: dict[str, Any] = {"mediaType": media_type, "digest": str(digest), "size": size}
        if not isinstance(reference, Digest):
            entry["annotations"] = {REF_NAME: str(reference)}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
        for name, document in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
            body = json.dumps(document).encode()
            self._destination.add(name, io.BytesIO(body), len(body))
        return digest

    def _write_manifest(self, digest: Digest) -> tuple[str, int] | None:
        """The manifest's type and size; None where the registry does not have it."""
        found = self._client.read_manifest(self._name, digest)
        if found is None:
            return None
        media_type, body = found
        for edge in oci_manifest.parse(body, media_type).edges:
            is_manifest = edge.kind is EdgeKind.CHILD and self._write_manifest(edge.digest) is not None
            if not is_manifest:
                self._write_blob(edge.digest, required=edge.required)
        self._add(digest, io.BytesIO(body), len(body))
        return media_type, len(body)

    def _write_blob(self, digest: Digest, *, required: bool) -> None:
        if digest in self._written or self._destination.has(digest):
            return
        content = self._client.open_blob(self._name, digest)
        if content is None:
            if required:
                self._say(f"{self._name} has no {digest}, which the image names: it stays out")
            return
        size = int(content.headers["Content-Length"])
        with watched(content, size, digest, self._progress) as readable:
            self._add(digest, readable, size)
        self._say(f"{self._name}: {digest}")

    def _add(self, digest: Digest, content: Readable, size: int) -> None:
        if digest not in self._written:
            self._written.add(digest)
            self._destination.add(blob_name(digest), content, size)


class FolderDestination:
    """A layout as a folder. What it holds already under the right digest is left alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, digest: Digest) -> bool:
        path = self._path / blob_name(digest)
        if not path.is_file():
            return False
        content_hash = ContentHash(digest.algorithm)
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                content_hash.update(piece)
        return content_hash.digest() == digest

    def add(self, name: str, content: Readable, size: int) -> None:
        """Write a file that is there whole or not at all."""
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("wb") as file:
            shutil.copyfileobj(content, file, PIECE_BYTES)
        if partial.stat().st_size != size:
            raise ExportFailed(f"{name} broke off after {partial.stat().st_size} of {size} bytes")
        partial.replace(path)


class TarDestination:
    """A layout as a tar; of the same image always the same bytes."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def has(self, digest: Digest) -> bool:  # noqa: ARG002 (a new tar holds nothing)
        return False

    def add(self, name: str, content: Readable, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        self._tar.addfile(member, content)


@contextmanager
def open_destination(path: Path) -> Iterator[Destination]:
    """A tar where the name ends in ``.tar``, there once it is whole; else a folder. Raises OSError."""
    if path.suffix != ".tar":
        yield FolderDestination(path)
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        with tarfile.open(partial, "w") as tar:
            yield TarDestination(tar)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
