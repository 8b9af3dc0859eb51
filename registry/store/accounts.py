"""Rows of users, robots, and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.store.transactions import ReadTx, WriteTx

_COLUMNS = "id, name, kind, secret_hash, created_ms, expires_ms, used_ms"
_MEMBERS = "SELECT group_name, member FROM group_member"


@dataclass(frozen=True, slots=True)
class Account:
    """``secret_hash`` is argon2id of a user's password, SHA-256 of a robot's secret; times are wall time."""

    id: int
    name: str
    kind: str
    secret_hash: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None


def find(tx: ReadTx, name: str) -> Account | None:
    row = tx.execute(f"SELECT {_COLUMNS} FROM account WHERE name = ?", name).fetchone()
    return None if row is None else Account(*row)


def find_by_id(tx: ReadTx, account: int) -> Account | None:
    row = tx.execute(f"SELECT {_COLUMNS} FROM account WHERE id = ?", account).fetchone()
    return None if row is None else Account(*row)


def add(tx: WriteTx, name: str, kind: str, secret_hash: str, expires_ms: int | None = None) -> int | None:
    """The new account's id; None where the name is taken."""
    row = tx.execute(
        "INSERT INTO account (name, kind, secret_hash, created_ms, expires_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING id",
        name,
        kind,
        secret_hash,
        tx.now_ms,
        expires_ms,
    ).fetchone()
    return None if row is None else int(row[0])


def set_secret(tx: WriteTx, name: str, kind: str, secret_hash: str) -> int | None:
    """The account's id; None where there is none."""
    row = tx.execute(
        "UPDATE account SET secret_hash = ? WHERE name = ? AND kind = ? RETURNING id", secret_hash, name, kind
    ).fetchone()
    return None if row is None else int(row[0])


def set_expiry(tx: WriteTx, account: int, expires_ms: int | None) -> None:
    tx.execute("UPDATE account SET expires_ms = ? WHERE id = ?", expires_ms, account)


def has_expired(tx: ReadTx, name: str) -> bool:
    found = tx.execute("SELECT 1 FROM account WHERE name = ? AND expires_ms <= ?", name, tx.now_ms).fetchone()
    return found is not None


def set_used(tx: WriteTx, account: int) -> None:
    tx.execute("UPDATE account SET used_ms = ? WHERE id = ?", tx.now_ms, account)


def remove(tx: WriteTx, name: str, kind: str) -> bool:
    """Remove the account, and with it its rules, its memberships and its tokens."""
    if not tx.execute("DELETE FROM account WHERE name = ? AND kind = ?", name, kind).rowcount:
        return False
    tx.execute("DELETE FROM rule WHERE subject = ?", name)
    tx.execute("DELETE FROM group_member WHERE member = ?", name)
    tx.execute("DELETE FROM token WHERE principal = ?", name)
    return True


def list_accounts(tx: ReadTx, kind: str) -> list[Account]:
    return [Account(*row) for row in tx.execute(f"SELECT {_COLUMNS} FROM account WHERE kind = ? ORDER BY name", kind)]


def count(tx: ReadTx, kind: str) -> int:
    (number,) = tx.execute("SELECT count(*) FROM account WHERE kind = ?", kind).fetchone()
    return int(number)


def pick_secret_hash(tx: ReadTx, kind: str, place: int) -> str | None:
    """The hash at a place of all of them, those of one scheme and cost beside each other."""
    row = tx.execute(
        "SELECT secret_hash FROM account WHERE kind = ? ORDER BY secret_hash LIMIT 1 OFFSET ?", kind, place
    ).fetchone()
    return None if row is None else str(row[0])


def decoy_key(tx: ReadTx) -> bytes:
    (key,) = tx.execute("SELECT decoy_key FROM access_state").fetchone()
    return bytes(key)


def join(tx: WriteTx, group: str, member: str) -> bool:
    """Whether it was not a member before."""
    return tx.execute("INSERT INTO group_member VALUES (?, ?) ON CONFLICT DO NOTHING", group, member).rowcount > 0


def leave(tx: WriteTx, group: str, member: str) -> bool:
    """Whether it was a member."""
    return tx.execute("DELETE FROM group_member WHERE group_name = ? AND member = ?", group, member).rowcount > 0


def members_by_group(tx: ReadTx) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, member in tx.execute(_MEMBERS):
        found.setdefault(group, []).append(member)
    return found


def groups_by_member(tx: ReadTx) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group, member in tx.execute(_MEMBERS):
        found.setdefault(member, []).append(group)
    return found
