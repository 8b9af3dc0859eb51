"""Rows of tokens, by the hash of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Token:
    """``groups`` and ``scopes`` are JSON; ``kind`` is ``access`` or ``refresh``. Times are wall time."""

    hash: str
    kind: str
    principal: str
    credential: str
    groups: str
    scopes: str | None
    created_ms: int
    expires_ms: int


def add(tx: WriteTx, token: Token) -> None:
    tx.execute(
        "INSERT INTO token (hash, kind, principal, credential, groups, scopes, created_ms, expires_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        token.hash,
        token.kind,
        token.principal,
        token.credential,
        token.groups,
        token.scopes,
        token.created_ms,
        token.expires_ms,
    )


def keep_newest(tx: WriteTx, principal: str, kind: str, count: int) -> None:
    tx.execute(
        "DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE principal = ? AND kind = ?"
        " ORDER BY created_ms DESC LIMIT -1 OFFSET ?)",
        principal,
        kind,
        count,
    )


def find(tx: ReadTx, token_hash: str, kind: str) -> Token | None:
    """The token while it is valid; one from the future, made before the clock was set back, is not."""
    row = tx.execute(
        "SELECT hash, kind, principal, credential, groups, scopes, created_ms, expires_ms FROM token"
        " WHERE hash = ? AND kind = ? AND created_ms <= ? AND expires_ms > ?",
        token_hash,
        kind,
        tx.now_ms,
        tx.now_ms,
    ).fetchone()
    return None if row is None else Token(*row)


def has_expired(tx: ReadTx) -> bool:
    return tx.execute("SELECT 1 FROM token WHERE expires_ms <= ? LIMIT 1", tx.now_ms).fetchone() is not None


def remove_expired(tx: WriteTx) -> int:
    """Remove at most 1,000 of them; how many."""
    return tx.execute(
        "DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE expires_ms <= ? LIMIT 1000)", tx.now_ms
    ).rowcount


def remove_all(tx: WriteTx) -> None:
    tx.execute("DELETE FROM token")
