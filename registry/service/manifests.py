"""Reading, pushing, deleting and listing manifests and tags."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from registry.oci import manifest as oci_manifest
from registry.oci.digests import CANONICAL, Digest
from registry.oci.errors import (
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    PreconditionFailed,
)
from registry.oci.rights import Right
from registry.store import audit, manifests, repositories, tags
from registry.store.space import StorageFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.oci.conditions import Condition
    from registry.oci.manifest import Manifest
    from registry.oci.names import RepositoryName, Tag
    from registry.service.principals import Principal
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.manifests import Referrer, StoredManifest
    from registry.store.transactions import ReadTx, WriteTx

_SMALL_BYTES = 16 * 1024
"""A larger manifest is read and parsed in a thread: 4 MiB of hostile JSON take a second."""

_NAMED_MISSING = 100
"""How many missing digests an error names."""

_REFERRERS_BYTES = 4 * 1024 * 1024
"""Annotations that one page of referrers holds at most, unless a single one is larger."""


class ManifestContent(NamedTuple):
    """``body`` is what the digest says."""

    manifest: StoredManifest
    body: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What a client pushes as a manifest."""

    body: bytes
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    digest: Digest
    subject: Digest | None


async def find(registry: Registry, name: RepositoryName, reference: Tag | Digest) -> StoredManifest:
    """Raises ManifestUnknown."""
    manifest = registry.database.recall_now(_find, name, reference)
    if _needs_lease(registry, manifest):
        await _lease(registry, manifest)
    return manifest


async def read(registry: Registry, name: RepositoryName, reference: Tag | Digest) -> ManifestContent:
    """The manifest with its bytes as pushed, verified. Raises ManifestUnknown."""
    found = registry.database.recall_now(_read, name, reference, limit_bytes=_SMALL_BYTES)
    if found is None:
        found = await registry.database.read(_read, name, reference, limit_bytes=oci_manifest.LIMIT_BYTES)
    assert found is not None
    manifest, body = found
    if body is None:
        await registry.damage.report_manifest(manifest)
        raise ManifestUnknown(reference)
    if _needs_lease(registry, manifest):
        with suppress(sqlite3.Error, StorageFull):  # a pull goes on where the database takes no write
            await _lease(registry, manifest)
    return ManifestContent(manifest, body)


def _needs_lease(registry: Registry, manifest: StoredManifest) -> bool:
    return manifest.unreachable_ms is not None and registry.is_lease_old(manifest.kept_until_ms)


async def _lease(registry: Registry, manifest: StoredManifest) -> None:
    """Who is told of a manifest that may be collected can rely on it for a while. Raises ManifestUnknown."""
    lease_ms = registry.policy.garbage.lease_ms
    if not await registry.database.write(manifests.lease, manifest.id, manifest.digest, lease_ms=lease_ms):
        raise ManifestUnknown(manifest.digest)


async def push(
    registry: Registry,
    name: RepositoryName,
    reference: Tag | Digest,
    more_tags: Sequence[Tag],
    content: Content,
    condition: Condition,
    principal: Principal,
) -> Pushed:
    """Store a manifest and point its tags to it, all in one transaction.

    The condition is on what ``reference`` names at that moment. Raises ManifestInvalid, DigestInvalid,
    ManifestBlobUnknown, PreconditionFailed, Denied, InsufficientStorage.
    """
    algorithm = reference.algorithm if isinstance(reference, Digest) else CANONICAL
    if len(content.body) <= _SMALL_BYTES:
        manifest, digest = _parse(content, algorithm)
    else:
        async with registry.parsing:
            manifest, digest = await registry.hops(_parse, content, algorithm)
    if isinstance(reference, Digest) and digest != reference:
        raise DigestInvalid(
            "the manifest's content has another digest", {"expected": str(reference), "received": str(digest)}
        )
    tags_to_point = more_tags if isinstance(reference, Digest) else [reference, *more_tags]

    def push_if_met(tx: WriteTx) -> None:
        rights = registry.access.rights_in(tx, principal, name)
        _check(tx, name, reference, condition, rights)
        if Right.PUSH not in rights:  # else there is nothing to look up
            _require(tx, name, digest, tags_to_point, manifest, rights)
        _push(tx, name, digest, tags_to_point, manifest, principal.author, allow_missing=registry.policy.allow_missing)

    if registry.restoration.is_open:
        await registry.restoration.look_for(edge.digest for edge in manifest.edges)
    if registry.database.ask_now(manifests.find, name, digest) is None:  # to move a tag needs next to nothing
        await registry.space.require_for_rows()
    await registry.database.write(push_if_met)
    return Pushed(digest, manifest.subject)


async def delete(
    registry: Registry, name: RepositoryName, reference: Tag | Digest, condition: Condition, principal: Principal
) -> None:
    """Delete a tag, or a manifest with its tags. Raises NameUnknown, ManifestUnknown, PreconditionFailed."""
    rights = registry.access.rights(principal, name)

    def delete_if_met(tx: WriteTx) -> None:
        _check(tx, name, reference, condition, rights)
        _delete(tx, name, reference, principal.author)

    await registry.database.write(delete_if_met)


async def list_tags(registry: Registry, name: RepositoryName, last: str, limit: int) -> list[str]:
    """Tags after ``last`` in the order of their bytes. Raises NameUnknown."""
    names = await registry.database.read(tags.list_names, name, last=last, limit=limit)
    if names is None:
        raise NameUnknown(name)
    return names


async def list_repositories(registry: Registry, principal: Principal, last: str, limit: int) -> list[str]:
    """Repositories after ``last`` that the principal may pull from, in the order of their bytes."""
    is_readable = registry.access.readable(principal)
    return await registry.database.read(repositories.list_names, last=last, limit=limit, is_readable=is_readable)


async def list_referrers(
    registry: Registry, name: RepositoryName, subject: Digest, artifact_type: str | None, last: str, limit: int
) -> tuple[list[Referrer], bool]:
    """One page of the manifests whose subject is the digest, and whether there are more."""
    return await registry.database.read(_list_referrers, name, subject, artifact_type, last, limit)


def _parse(content: Content, algorithm: str) -> tuple[Manifest, Digest]:
    return oci_manifest.parse(content.body, content.content_type), Digest.of(content.body, algorithm)


def _check(tx: ReadTx, name: RepositoryName, reference: Tag | Digest, condition: Condition, rights: Right) -> None:
    """Raises PreconditionFailed, which tells what stands to those who may pull it."""
    if condition.is_absent:
        return
    current = manifests.find(tx, name, reference)
    if not condition.is_met(None if current is None else current.digest):
        raise PreconditionFailed(current.digest if current is not None and rights & Right.PULL else None)


def _require(
    tx: ReadTx, name: RepositoryName, digest: Digest, tags_to_point: Sequence[Tag], manifest: Manifest, rights: Right
) -> None:
    """Raises Denied where the push is not allowed any more, or would create or change what the rights don't allow.

    The type of a manifest that stands is what its tags are pulled with: to change it is to change them.
    """
    if not rights & Right.PUSH:
        raise Denied("this is not allowed to you")
    changes, creates = [], []
    for tag in tags_to_point:
        current = manifests.find(tx, name, tag)
        if current is None:
            creates.append(str(tag))
        elif current.digest != digest:
            changes.append(str(tag))
    stands = manifests.find(tx, name, digest)
    if stands is not None and stands.media_type != manifest.media_type:
        changes.append(str(digest))
    if changes and not rights & Right.UPDATE:
        raise Denied("you may not change what stands (the right to update)", {"references": changes})
    if creates and not rights & Right.CREATE:
        raise Denied("you may not create tags (the right to create)", {"references": creates})


def _find(tx: ReadTx, name: RepositoryName, reference: Tag | Digest, *, damaged: bool = False) -> StoredManifest:
    """``damaged``: also one that is known to be. Raises ManifestUnknown."""
    manifest = manifests.find(tx, name, reference)
    if manifest is None or (manifest.is_damaged and not damaged):
        raise ManifestUnknown(reference)
    return manifest


def _read(
    tx: ReadTx, name: RepositoryName, reference: Tag | Digest, *, limit_bytes: int
) -> tuple[StoredManifest, bytes | None] | None:
    """The manifest, and its bytes unless they are damaged; None where it is larger than the limit.

    Raises ManifestUnknown.
    """
    found = manifests.read(tx, name, reference, limit_bytes=limit_bytes)
    if found is None or found[0].is_damaged:
        raise ManifestUnknown(reference)
    return found if found[0].size <= limit_bytes else None


def _push(
    tx: WriteTx,
    name: RepositoryName,
    digest: Digest,
    tags_to_point: Sequence[Tag],
    manifest: Manifest,
    author: Author,
    *,
    allow_missing: bool,
) -> None:
    repository = repositories.find_or_create(tx, name)
    if not allow_missing:
        required = (edge for edge in manifest.edges if edge.required)
        missing = dict.fromkeys(edge.digest for edge in required if manifests.is_missing(tx, repository, edge))
        if missing:
            raise ManifestBlobUnknown(list(missing)[:_NAMED_MISSING])
    stored = manifests.add(tx, repository, digest, manifest)
    audit.record(tx, author, "manifest pushed", repository=name.value, after=str(digest))
    for tag in tags_to_point:
        tags.point(tx, repository, tag, stored, digest, author)


def _delete(tx: WriteTx, name: RepositoryName, reference: Tag | Digest, author: Author) -> None:
    repository = repositories.find(tx, name)
    if repository is None:
        raise NameUnknown(name)
    if isinstance(reference, Digest):
        manifest = _find(tx, name, reference, damaged=True)
        tags.remove_of_manifest(tx, repository, manifest.id, manifest.digest, author)
        manifests.remove(tx, manifest.id)
        audit.record(tx, author, "manifest deleted", repository=name.value, before=str(reference))
    elif not tags.remove(tx, repository, reference, author):
        raise ManifestUnknown(reference)


def _list_referrers(
    tx: ReadTx, name: RepositoryName, subject: Digest, artifact_type: str | None, last: str, limit: int
) -> tuple[list[Referrer], bool]:
    page: list[Referrer] = []
    bytes_left = _REFERRERS_BYTES
    for referrer in manifests.list_referrers(
        tx, name, subject, artifact_type=artifact_type, last=last, limit=limit + 1
    ):
        bytes_left -= sum(len(key) + len(value) for key, value in referrer.annotations.items())
        if len(page) == limit or (page and bytes_left < 0):
            return page, True
        page.append(referrer)
    return page, False
