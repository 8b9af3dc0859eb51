"""From what an operator set to what the registry is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry.quantities import seconds, size_bytes
from registry.service.claims import ClaimRule
from registry.service.issuers import IssuerPolicy
from registry.service.policy import AccessPolicy, GarbagePolicy, Policy, ScrubPolicy

if TYPE_CHECKING:
    from registry.config import AccessSettings, GarbageSettings, Settings


def policy_of(settings: Settings) -> Policy:
    return Policy(
        allow_missing=settings.push.allow_missing,
        delete_enabled=settings.delete.enabled,
        read_only=settings.access.read_only,
        concurrent_uploads=settings.uploads.concurrent_limit,
        upload_idle_seconds=settings.uploads.idle_seconds,
        stall_seconds=settings.storage.stall_seconds,
        allow_network=settings.storage.allow_network,
        checkpoints=settings.storage.checkpoint == "own",
        reserve_bytes=size_bytes(settings.storage.reserve) if settings.storage.reserve else None,
        backup_interval_seconds=seconds(settings.backup.interval),
        access=_access_policy_of(settings.access),
        garbage=_garbage_policy_of(settings.gc),
        scrub=ScrubPolicy(
            bytes_per_second=size_bytes(settings.scrub.bytes_per_second),
            verified_seconds=settings.scrub.verified_seconds,
        ),
    )


def _garbage_policy_of(settings: GarbageSettings) -> GarbagePolicy:
    return GarbagePolicy(
        interval_seconds=seconds(settings.interval),
        grace_seconds=seconds(settings.grace),
        lease_seconds=settings.lease_seconds,
        horizon_seconds=seconds(settings.horizon),
        untagged_after_seconds=seconds(settings.untagged_after) if settings.untagged_after else None,
        collect_orphaned_tags=settings.collect_orphaned_tags,
        history_seconds=seconds(settings.history),
        batch=settings.batch,
        max_lock_ms=settings.max_lock_ms,
    )


def _access_policy_of(settings: AccessSettings) -> AccessPolicy:
    return AccessPolicy(
        mode=settings.mode or "open",
        htpasswd=Path(settings.htpasswd) if settings.htpasswd else None,
        issuers=issuers_of(settings),
        token_seconds=settings.token_seconds,
        login_seconds=seconds(settings.login),
        audit_seconds=seconds(settings.audit),
    )


def issuers_of(settings: AccessSettings) -> tuple[IssuerPolicy, ...]:
    return tuple(
        IssuerPolicy(
            name=issuer.name,
            issuer=issuer.issuer,
            audience=(issuer.audience,) if isinstance(issuer.audience, str) else tuple(issuer.audience),
            keys=issuer.keys,
            algorithms=tuple(issuer.algorithms),
            rules=tuple(ClaimRule(rule.claims, frozenset(rule.groups)) for rule in issuer.rules),
            leeway_seconds=issuer.leeway_seconds,
        )
        for issuer in settings.issuers
    )
