"""What garbage collection would do (``plan``), and each of its steps as a transaction that asks again."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from registry.oci.digests import Digest
from registry.store import links, manifests, reachability, tags
from registry.store.audit import Author

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.store.transactions import ReadTx, WriteTx

S = TypeVar("S")
T = TypeVar("T")

_AUTHOR = Author("garbage collection")

_JUDGED_IDS = 50_000
"""Of so many ids one read judges the manifests, which takes some tenths of a second."""

_ORPHANED_TAG = (
    "tag.name GLOB 'sha256-*' AND length(tag.name) >= 71 AND substr(tag.name, 8, 64) NOT GLOB '*[^0-9a-f]*'"
    " AND substr(tag.name, 72, 1) IN ('', '.')"
)
"""A tag about another manifest: ``sha256-<hex>``, alone (referrers tag schema) or with ``.sig`` and the like."""

_IS_ORPHANED = (
    "NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.repository_id = tag.repository_id"
    " AND manifest.digest = 'sha256:' || substr(tag.name, 8, 64))"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """Ages in milliseconds on the daemon's clock. ``untagged_after`` None: untagged manifests are kept.

    ``shortage_bytes`` are wanted even from before the horizon, though not from before ``lease``.
    """

    grace: int
    lease: int
    horizon: int
    untagged_after: int | None
    orphaned_tags: bool
    shortage_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does if nothing changes meanwhile. ``links`` are (repository, blob), ``tags`` (repository, name)."""

    to_mark: Sequence[int]
    to_clear: Sequence[int]
    manifests: Sequence[int]
    tags_to_mark: Sequence[tuple[int, str]]
    tags: Sequence[tuple[int, str]]
    links: Sequence[tuple[int, int]]
    condemned_blobs: int
    condemned_bytes: int
    removed: Sequence[Digest]
    removed_bytes: int
    removal_age_ms: int


@dataclass(slots=True)
class Judged:
    """Manifests to mark as unreachable, to clear of the mark, and to collect, of those that were looked at so far."""

    to_mark: list[int] = field(default_factory=list)
    to_clear: list[int] = field(default_factory=list)
    collected: list[int] = field(default_factory=list)


def judge(tx: ReadTx, rules: Rules, judged: Judged, *, start: int) -> int | None:
    """Judge the manifests of some ids: under a long read, the log only grows. Where to go on; None at the end."""
    (last,) = tx.execute("SELECT coalesce(max(id), 0) FROM manifest").fetchone()
    if rules.untagged_after is None or start > last:
        return None
    for manifest, marked in reachability.candidates(tx, range(start, start + _JUDGED_IDS)):
        if reachability.is_reachable(tx, manifest) == marked:
            (judged.to_clear if marked else judged.to_mark).append(manifest)
        elif marked and reachability.is_due(tx, manifest, untagged_after_ms=rules.untagged_after):
            judged.collected.append(manifest)
    return start + _JUDGED_IDS


def plan(tx: ReadTx, rules: Rules, judged: Judged) -> Plan:
    """Ask one snapshot for everything else."""
    # An index goes before what it lists.
    collected = sorted(judged.collected, key=lambda manifest: reachability.count_leading(tx, manifest))
    tags_to_mark, tags_collected = _plan_tags(tx, rules)
    links_collected = _plan_links(tx, rules, collected)
    condemned = _sizes_condemned_by(tx, links_collected)
    removed = _plan_removals(tx, rules)
    return Plan(
        to_mark=judged.to_mark,
        to_clear=judged.to_clear,
        manifests=collected,
        tags_to_mark=tags_to_mark,
        tags=tags_collected,
        links=links_collected,
        condemned_blobs=len(condemned),
        condemned_bytes=sum(condemned),
        removed=[digest for digest, _ in removed],
        removed_bytes=sum(size for _, size in removed),
        removal_age_ms=min(rules.horizon, rules.lease) if rules.shortage_bytes > 0 else rules.horizon,
    )


def _plan_tags(tx: ReadTx, rules: Rules) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Tags whose manifest is found gone, and those whose manifest has been gone for the grace."""
    if not rules.orphaned_tags:
        return [], []
    rows = tx.execute(
        f"SELECT repository_id, name, orphaned_clock_ms FROM tag WHERE {_ORPHANED_TAG} AND {_IS_ORPHANED}"
    ).fetchall()
    collected = [(tag[0], tag[1]) for tag in rows if tag[2] is not None and tag[2] <= tx.clock_ms - rules.grace]
    return [(tag[0], tag[1]) for tag in rows if tag[2] is None], collected


def _plan_links(tx: ReadTx, rules: Rules, manifests_collected: Sequence[int]) -> list[tuple[int, int]]:
    """Links that nothing keeps; without grace, those too that only the manifests collected in this run keep."""
    found = tx.execute(
        "SELECT repository_id, blob_id FROM repository_blob WHERE unreferenced_clock_ms <= ?", tx.clock_ms - rules.grace
    ).fetchall()
    due = [link for link in found if links.is_due(tx, *link, grace_ms=rules.grace)]
    if rules.grace == 0 and manifests_collected:
        due += tx.execute(
            "WITH collected (id) AS MATERIALIZED (SELECT value FROM json_each(?))"
            " SELECT repository_id, blob_id FROM repository_blob AS link"
            " WHERE (repository_id, blob_id) IN"
            " (SELECT repository_id, blob_id FROM edge WHERE manifest_id IN collected AND blob_id IS NOT NULL)"
            " AND link.kept_until_clock_ms <= ? AND NOT EXISTS (SELECT 1 FROM edge"
            " WHERE edge.repository_id = link.repository_id AND edge.blob_id = link.blob_id"
            " AND edge.manifest_id NOT IN collected)",
            json.dumps(manifests_collected),
            tx.clock_ms,
        ).fetchall()
    return due


def _sizes_condemned_by(tx: ReadTx, links_collected: Sequence[tuple[int, int]]) -> list[int]:
    """The sizes of the blobs that lose their last link."""
    sizes = []
    for blob, lost in Counter(blob for _, blob in links_collected).items():
        size, linked = tx.execute(
            "SELECT size, (SELECT COUNT(*) FROM repository_blob WHERE blob_id = blob.id) FROM blob WHERE id = ?", blob
        ).fetchone()
        if linked == lost:
            sizes.append(size)
    return sizes


def _plan_removals(tx: ReadTx, rules: Rules) -> list[tuple[Digest, int]]:
    """Condemned blobs past the horizon and, where room is short, younger ones, the oldest first."""
    rows = tx.execute(
        "SELECT digest, size, condemned_clock_ms FROM blob WHERE condemned_clock_ms <= ? ORDER BY condemned_clock_ms",
        tx.clock_ms - min(rules.horizon, rules.lease),
    )
    removed, wanted = [], rules.shortage_bytes
    for digest, size, condemned_ms in rows:
        if condemned_ms > tx.clock_ms - rules.horizon and wanted <= 0:
            break
        removed.append((Digest.parse(digest), size))
        wanted -= size
    return removed


def each(tx: WriteTx, step: Callable[[WriteTx, S], T], items: Sequence[S], *, limit_ms: float) -> list[T]:
    """Take the step for one item after the other until they, or so many milliseconds, are over; the results."""
    end = time.monotonic() + limit_ms / 1000
    results = []
    for item in items:
        results.append(step(tx, item))
        if time.monotonic() >= end:
            break
    return results


def mark_manifest(tx: WriteTx, manifest: int) -> None:
    if not reachability.is_reachable(tx, manifest):
        tx.execute(
            "UPDATE manifest SET unreachable_clock_ms = ? WHERE id = ? AND unreachable_clock_ms IS NULL",
            tx.clock_ms,
            manifest,
        )


def clear_manifest(tx: WriteTx, manifest: int) -> None:
    if reachability.is_reachable(tx, manifest):
        tx.execute("UPDATE manifest SET unreachable_clock_ms = NULL WHERE id = ?", manifest)


def collect_manifest(tx: WriteTx, manifest: int, *, untagged_after_ms: int) -> tuple[str, str] | None:
    """Remove the manifest if it is still due; its repository and digest."""
    row = tx.execute(
        "SELECT repository.name, manifest.digest FROM manifest JOIN repository ON repository.id = repository_id"
        " WHERE manifest.id = ? AND unreachable_clock_ms <= ?",
        manifest,
        tx.clock_ms - untagged_after_ms,
    ).fetchone()
    if row is None or not reachability.is_due(tx, manifest, untagged_after_ms=untagged_after_ms):
        return None
    manifests.remove(tx, manifest)
    return str(row[0]), str(row[1])


def mark_tag(tx: WriteTx, tag: tuple[int, str]) -> None:
    tx.execute(
        f"UPDATE tag SET orphaned_clock_ms = ? WHERE repository_id = ? AND name = ? AND {_IS_ORPHANED}",
        tx.clock_ms,
        *tag,
    )


def collect_tag(tx: WriteTx, tag: tuple[int, str], *, grace_ms: int) -> bool:
    """Remove the tag if it is still orphaned."""
    row = tx.execute(
        f"SELECT 1 FROM tag WHERE repository_id = ? AND name = ? AND orphaned_clock_ms <= ? AND {_IS_ORPHANED}",
        *tag,
        tx.clock_ms - grace_ms,
    ).fetchone()
    return row is not None and tags.remove_by_name(tx, *tag, _AUTHOR)


def collect_link(tx: WriteTx, link: tuple[int, int], *, grace_ms: int) -> tuple[bool, int | None]:
    """Remove the link if it is still due; whether it was, and the size of the blob that this condemned."""
    repository, blob = link
    if not links.is_due(tx, repository, blob, grace_ms=grace_ms):
        return False, None
    if not links.remove(tx, repository, blob):
        return True, None
    (size,) = tx.execute("SELECT size FROM blob WHERE id = ?", blob).fetchone()
    return True, int(size)


def remove_blob(tx: WriteTx, digest: Digest, *, age_ms: int) -> int | None:
    """Remove the row of a blob that is still condemned, for at least ``age_ms``; its size.

    Snapshots made before it was condemned would miss its file. That moment is told in wall time from the daemon's
    clock, which is late at worst: the clock stands still while no daemon runs.
    """
    row = tx.execute(
        "DELETE FROM blob WHERE digest = ? AND condemned_clock_ms <= ? RETURNING size, condemned_clock_ms",
        str(digest),
        tx.clock_ms - age_ms,
    ).fetchone()
    if row is None:
        return None
    condemned_ms = tx.now_ms - (tx.clock_ms - row[1])
    tx.execute("UPDATE daemon SET restorable_since_ms = max(restorable_since_ms, ?)", condemned_ms)
    return int(row[0])


def free_pages(tx: ReadTx) -> tuple[int, int]:
    """Pages of the database that nothing uses, and all pages."""
    (free,), (total,) = (tx.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
    return int(free), int(total)


def give_back_pages(tx: WriteTx, pages: int) -> None:
    """Cut so many unused pages off the database."""
    for _ in range(pages):  # sqlite3 takes one step of a statement that has no columns, and one step is one page
        tx.execute("PRAGMA incremental_vacuum(1)")
