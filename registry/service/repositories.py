"""Repositories as their operator looks at them, and the end of one."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.store import audit, repositories, uploads, usage
from registry.store.repositories import Deleted

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.transactions import ReadTx, WriteTx
    from registry.store.usage import Total, Usage


@dataclass(frozen=True, slots=True)
class Usages:
    """All of one moment."""

    total: Total
    repositories: list[Usage]


async def read_usage(registry: Registry, name: RepositoryName | None) -> Usages:
    """Of one repository, or of each. Raises ParameterInvalid where there is none of that name."""
    return await registry.database.read_long(_read_usage, name)


async def delete(registry: Registry, author: Author, name: RepositoryName) -> Deleted:
    """Delete the repository with all that it has, in small transactions; what that was. Raises ParameterInvalid.

    What clients push meanwhile goes too. Cancelled, it leaves what is not yet gone; who calls again goes on.
    """
    before = await registry.database.read_long(_describe, name)
    open_uploads = await registry.database.write(_begin, author, name, before)
    for upload_id in open_uploads:
        await registry.uploads.end(upload_id)
    deleted = Counter(uploads=len(open_uploads))
    limit = registry.policy.garbage.batch
    while (step := await registry.database.write(repositories.delete_some, name, limit=limit)) is not None:
        deleted.update(asdict(step))
    return Deleted(**deleted)


def _read_usage(tx: ReadTx, name: RepositoryName | None) -> Usages:
    if name is None:
        return Usages(usage.total(tx), usage.of_all(tx))
    found = usage.of_one(tx, name.value)
    if found is None:
        raise unknown(name)
    return Usages(usage.total(tx), [found])


def _describe(tx: ReadTx, name: RepositoryName) -> str:
    """What there is, which may take long to count."""
    found = usage.of_one(tx, name.value)
    if found is None:
        raise unknown(name)
    return f"{found.tags} tags, {found.manifests} manifests, {found.blobs} blobs"


def _begin(tx: WriteTx, author: Author, name: RepositoryName, before: str) -> list[str]:
    """The audit says so before anything goes; the open uploads."""
    if repositories.find(tx, name) is None:
        raise unknown(name)
    audit.record(tx, author, "repository deleted", repository=name.value, before=before)
    return uploads.list_of_repository(tx, name)


def unknown(name: RepositoryName) -> ParameterInvalid:
    """What to raise where there is no such repository."""
    return ParameterInvalid(f"there is no repository {name}; cargohold repo list says which there are")
