"""Which manifests stay: the question is asked upwards, from a manifest to what leads to it.

A manifest is reached from the tags that name it, from the indexes that list it, and from its subject: referrers stay
with what they are about, and don't hold it themselves (image-spec: "subject" is a weak association).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.store.damage import BROKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.store.transactions import ReadTx, WriteTx

_LEADING = """
leading (id) AS (
    SELECT ?
    UNION
    SELECT edge.manifest_id FROM leading JOIN manifest AS reached ON reached.id = leading.id
    JOIN edge ON edge.repository_id = reached.repository_id AND edge.digest = reached.digest AND edge.kind = 'child'
    UNION
    SELECT subject.id FROM leading JOIN manifest AS reached ON reached.id = leading.id
    JOIN manifest AS subject
        ON subject.repository_id = reached.repository_id AND subject.digest = reached.subject
)
"""

_IS_ROOT = "(EXISTS (SELECT 1 FROM tag WHERE tag.manifest_id = manifest.id) OR manifest.kept_until_clock_ms > ?)"


def is_reachable(tx: ReadTx, manifest: int) -> bool:
    """Whether a tag or a lease leads to the manifest."""
    leads = (
        f"WITH RECURSIVE {_LEADING} SELECT 1 FROM leading CROSS JOIN manifest ON manifest.id = leading.id"
        f" WHERE {_IS_ROOT} LIMIT 1"
    )
    return tx.execute(leads, manifest, tx.clock_ms).fetchone() is not None


def is_due(tx: ReadTx, manifest: int, *, untagged_after_ms: int) -> bool:
    """Whether the manifest and all that leads to it have been unreachable for so long, and refer to nothing damaged."""
    stays = (
        f"WITH RECURSIVE {_LEADING}, {BROKEN} SELECT 1 FROM leading CROSS JOIN manifest ON manifest.id = leading.id"
        f" WHERE {_IS_ROOT} OR manifest.unreachable_clock_ms IS NULL OR manifest.unreachable_clock_ms > ?"
        " OR leading.id IN (SELECT id FROM broken) LIMIT 1"
    )
    return tx.execute(stays, manifest, tx.clock_ms, tx.clock_ms - untagged_after_ms).fetchone() is None


def count_leading(tx: ReadTx, manifest: int) -> int:
    """How many manifests lead to this one, itself included: fewer to an index than to what it lists."""
    (count,) = tx.execute(f"WITH RECURSIVE {_LEADING} SELECT COUNT(*) FROM leading", manifest).fetchone()
    return int(count)


def clear_below(tx: WriteTx, manifest: int) -> None:
    """The manifest is wanted again, and with it all that it lists."""
    tx.execute(
        "WITH RECURSIVE held (id) AS (SELECT ? UNION SELECT child.id FROM held"
        " JOIN edge ON edge.manifest_id = held.id AND edge.kind = 'child' JOIN manifest AS child"
        " ON child.repository_id = edge.repository_id AND child.digest = edge.digest)"
        " UPDATE manifest SET unreachable_clock_ms = NULL"
        " WHERE id IN (SELECT id FROM held) AND unreachable_clock_ms IS NOT NULL",
        manifest,
    )


def candidates(tx: ReadTx, ids: range) -> Iterator[tuple[int, bool]]:
    """Manifests that no tag names, or that were unreachable when last looked at; whether they are marked so."""
    rows = tx.execute(
        "SELECT id, unreachable_clock_ms IS NOT NULL FROM manifest WHERE id >= ? AND id < ?"
        " AND (unreachable_clock_ms IS NOT NULL"
        " OR NOT EXISTS (SELECT 1 FROM tag WHERE tag.manifest_id = manifest.id))",
        ids.start,
        ids.stop,
    )
    return ((manifest, bool(marked)) for manifest, marked in rows)
