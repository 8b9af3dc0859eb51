"""The history of tags, and the way back to what a tag was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.digests import Digest
from registry.oci.errors import ParameterInvalid
from registry.service.repositories import unknown
from registry.store import manifests, reachability, repositories, tags

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName, Tag
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.tags import Change
    from registry.store.transactions import ReadTx, WriteTx

PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Restored:
    """What the tag named before, None for nothing, and what it names now."""

    before: str | None
    after: str


async def read_history(registry: Registry, name: RepositoryName, tag: Tag | None, after_id: int) -> list[Change]:
    """At most PAGE_LIMIT changes after one of them, the oldest first, of one tag or of all. Raises ParameterInvalid."""
    return await registry.database.read(_read_history, name, tag, after_id)


async def restore(
    registry: Registry, author: Author, name: RepositoryName, tag: Tag, to: Digest | None, before_ms: int | None
) -> Restored:
    """Let the tag name a manifest again: that of a digest, that of a moment, or that before its last change.

    Raises ParameterInvalid where there was none, or it is gone.
    """
    return await registry.database.write(_restore, author, name, tag, to, before_ms)


def _read_history(tx: ReadTx, name: RepositoryName, tag: Tag | None, after_id: int) -> list[Change]:
    return tags.list_history(tx, _repository(tx, name), tag, after_id=after_id, limit=PAGE_LIMIT)


def _restore(
    tx: WriteTx, author: Author, name: RepositoryName, tag: Tag, to: Digest | None, before_ms: int | None
) -> Restored:
    repository = _repository(tx, name)
    wanted = to or _earlier(tx, repository, name, tag, before_ms)
    manifest = manifests.find(tx, name, wanted)
    if manifest is None:
        raise ParameterInvalid(f"{wanted} is not in {name} any more: it was deleted, or collected; push it again")
    if manifest.is_damaged:
        raise ParameterInvalid(f"{wanted} is damaged; push it again")
    current = manifests.find(tx, name, tag)
    if manifest.unreachable_ms is not None:
        reachability.clear_below(tx, manifest.id)
    tags.point(tx, repository, tag, manifest.id, wanted, author)
    return Restored(None if current is None else str(current.digest), str(wanted))


def _earlier(tx: ReadTx, repository: int, name: RepositoryName, tag: Tag, before_ms: int | None) -> Digest:
    """What the tag named at that moment, or before its last change."""
    if before_ms is not None:
        digest, when = tags.digest_at(tx, repository, tag, before_ms), "at that time"
    else:
        change = tags.last_change(tx, repository, tag)
        digest, when = None if change is None else change.before, "before its last change"
    if digest is None:
        raise ParameterInvalid(f"{name}:{tag} named nothing {when}, as far as is known (gc.history)")
    return Digest.parse(digest)


def _repository(tx: ReadTx, name: RepositoryName) -> int:
    repository = repositories.find(tx, name)
    if repository is None:
        raise unknown(name)
    return repository
