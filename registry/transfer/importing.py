"""From a layout into the registry. What is there already is left alone, so that an import can be run again."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from registry.oci import manifest as oci_manifest
from registry.oci import media_types
from registry.oci.digests import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.transfer.errors import Interrupted, SourceUnusable
from registry.transfer.progress import unseen, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from registry.transfer.client import Client
    from registry.transfer.layouts import Image, Layout
    from registry.transfer.progress import Progress, Readable


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image goes. Without a tag it is kept by its digest."""

    repository: RepositoryName
    tag: Tag | None

    def __str__(self) -> str:
        return str(self.repository) if self.tag is None else f"{self.repository}:{self.tag}"


def parse_target(text: str) -> Target:
    """Read ``repository`` or ``repository:tag``. Raises RegistryError."""
    name, colon, tag = text.rpartition(":") if ":" in text.rpartition("/")[2] else (text, "", "")
    return Target(RepositoryName.parse(name), Tag.parse(tag) if colon else None)


def parse_reference(text: str) -> tuple[RepositoryName, Tag | Digest]:
    """Read ``repository:tag`` or ``repository@digest``; the tag may be left out and is then ``latest``."""
    name, at, digest = text.partition("@")
    if at:
        return RepositoryName.parse(name), Digest.parse(digest)
    target = parse_target(text)
    return target.repository, target.tag or Tag("latest")


def targets_of(image: Image, wanted: Target | None) -> list[Target]:
    """Where an image goes by its own names, or where the user wants it. Raises SourceUnusable.

    A name with a host, such as ``docker.io/library/app:1``, goes to its repository without the host.
    """
    if wanted is not None and wanted.tag is not None:
        return [wanted]
    names = [_own_name(name) for name in image.names]
    if wanted is not None:
        return [Target(wanted.repository, name.tag) for name in names] or [wanted]
    targets = [Target(name.repository, name.tag) for name in names if name.repository is not None]
    if not targets:
        called = f" is called {image.names[0]!r} only" if image.names else " has no name"
        raise SourceUnusable(f"image {image.digest}{called}; say where it goes with --as REPOSITORY:TAG")
    return targets


@dataclass(frozen=True, slots=True)
class _OwnName:
    repository: RepositoryName | None
    tag: Tag | None


def _own_name(text: str) -> _OwnName:
    try:
        if "/" not in text and ":" not in text:
            return _OwnName(None, Tag.parse(text))
        host, slash, path = text.partition("/")
        is_host = slash and ("." in host or ":" in host or host == "localhost")
        target = parse_target(path if is_host else text)
        return _OwnName(target.repository, target.tag or Tag("latest"))
    except RegistryError as error:
        raise SourceUnusable(f"the image's name {text!r}: {error}") from None


class Importer:
    """Pushes images of one layout; ``say`` is told of each step, ``progress`` of each large blob on its way."""

    def __init__(self, client: Client, layout: Layout, say: Callable[[str], None], progress: Progress = unseen) -> None:
        self._client = client
        self._layout = layout
        self._say = say
        self._progress = progress

    def push(self, image: Image, targets: list[Target]) -> None:
        """Raises SourceUnusable, RequestFailed, Interrupted, OSError."""
        try:
            for target in targets:
                tags = [] if target.tag is None else [target.tag]
                self._push_manifest(target.repository, image.digest, image.media_type, tags)
                self._say(f"{target} is {image.digest}")
        except KeyboardInterrupt:
            raise Interrupted("interrupted; what is in the registry stays there: import again to go on") from None

    def _push_manifest(self, name: RepositoryName, digest: Digest, media_type: str, tags: list[Tag]) -> None:
        """The manifest with all that it refers to, what it needs first."""
        references: list[Tag | Digest] = [digest, *tags]
        if all(self._client.digest_of(name, reference) == digest for reference in references):
            return
        with self._layout.open(digest) as file:
            body = file.read(oci_manifest.LIMIT_BYTES + 1)
        try:
            manifest = oci_manifest.parse(body, media_type)
        except RegistryError as error:
            raise SourceUnusable(f"manifest {digest}: {error}") from None
        child_types = _child_types(body)
        for edge in manifest.edges:
            child_type = child_types.get(str(edge.digest))
            if child_type in media_types.KNOWN and self._layout.has(edge.digest):
                self._push_manifest(name, edge.digest, child_type, [])
            elif self._layout.has(edge.digest):
                self._push_blob(name, edge.digest)
        self._client.push_manifest(name, digest, tags, manifest.media_type, body)

    def _push_blob(self, name: RepositoryName, digest: Digest) -> None:
        if self._client.has_blob(name, digest):
            return
        if self._client.push_blob(name, digest, partial(self._open, digest)):
            self._say(f"{name}: {digest}")

    @contextmanager
    def _open(self, digest: Digest) -> Iterator[Readable]:
        with self._layout.open(digest) as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            with watched(content, size, digest, self._progress) as readable:
                yield readable


def _child_types(body: bytes) -> dict[str, str]:
    """What an index says of its children: a manifest, or a blob as in a BuildKit cache."""
    return {child["digest"]: child.get("mediaType", "") for child in json.loads(body).get("manifests") or ()}
