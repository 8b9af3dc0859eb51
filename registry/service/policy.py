"""What the operator decided. README's table of settings explains each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.issuers import IssuerPolicy

DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class GarbagePolicy:
    """``untagged_after_seconds`` None: untagged manifests are kept."""

    interval_seconds: float = 300
    grace_seconds: float = DAY_SECONDS
    lease_seconds: float = 3600
    horizon_seconds: float = 7 * DAY_SECONDS
    untagged_after_seconds: float | None = None
    collect_orphaned_tags: bool = False
    history_seconds: float = 90 * DAY_SECONDS
    batch: int = 100
    max_lock_ms: float = 20

    @property
    def lease_ms(self) -> int:
        return int(self.lease_seconds * 1000)


@dataclass(frozen=True, slots=True)
class ScrubPolicy:
    bytes_per_second: int = 20 * 1024 * 1024
    verified_seconds: float = 7 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """``htpasswd`` is a file of bcrypt hashes, whose users are known beside those of the database."""

    mode: Literal["open", "basic", "token"] = "open"
    htpasswd: Path | None = None
    issuers: tuple[IssuerPolicy, ...] = ()
    token_seconds: float = 300
    login_seconds: float = 30 * DAY_SECONDS
    audit_seconds: float = 90 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Policy:
    """``reserve_bytes`` None: the smaller of 5 % of the file system and 1 GiB. Without ``checkpoints`` another program
    takes what is in the write-ahead log into the database.
    """

    allow_missing: bool = False
    delete_enabled: bool = True
    read_only: bool = False
    concurrent_uploads: int = 1000
    upload_idle_seconds: float = DAY_SECONDS
    stall_seconds: float = 30
    allow_network: bool = False
    checkpoints: bool = True
    reserve_bytes: int | None = None
    backup_interval_seconds: float = 900
    access: AccessPolicy = field(default_factory=AccessPolicy)
    garbage: GarbagePolicy = field(default_factory=GarbagePolicy)
    scrub: ScrubPolicy = field(default_factory=ScrubPolicy)
