"""How large the database is, and its unused pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.store import garbage, reserve

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Size:
    """``unused_bytes`` are of ``bytes``; so many of them, ``kept_bytes``, are for a disk that is full.

    ``manifest_bytes`` are as pushed, ``stored_bytes`` what is stored of them. ``rows`` are of each table.
    """

    bytes: int
    unused_bytes: int
    kept_bytes: int
    manifest_bytes: int
    stored_bytes: int
    rows: dict[str, int]


def measure(tx: ReadTx) -> Size:
    page_bytes, total, unused = (_number(tx, name) for name in ("page_size", "page_count", "freelist_count"))
    pushed, stored = tx.execute(
        "SELECT COALESCE(SUM(size), 0), COALESCE(SUM(length(body)), 0) FROM manifest JOIN manifest_body"
        " ON manifest_id = id"
    ).fetchone()
    tables = tx.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY 1")
    rows = {name: tx.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for (name,) in tables.fetchall()}
    return Size(page_bytes * total, page_bytes * unused, page_bytes * reserve.PAGES, pushed, stored, rows)


def give_back(tx: WriteTx, limit: int) -> int:
    """Cut at most so many unused pages off the database, but for those that are kept; how many are gone."""
    before = _number(tx, "freelist_count")
    pages = min(limit, before - reserve.PAGES)
    garbage.give_back_pages(tx, pages)
    return before - _number(tx, "freelist_count")


def _number(tx: ReadTx, pragma: str) -> int:
    (value,) = tx.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
