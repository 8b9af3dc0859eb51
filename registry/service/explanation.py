"""Answers in sentences: what holds a digest, or when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.store import holdings, orphans

if TYPE_CHECKING:
    from registry.oci.digests import Digest
    from registry.service.policy import GarbagePolicy
    from registry.service.registry import Registry
    from registry.store.holdings import HeldBlob, HeldManifest, Link


async def explain(registry: Registry, digest: Digest) -> list[str]:
    """What is known of a digest; empty where nothing is."""
    blob = await registry.database.read(holdings.find_blob, digest)
    manifests = await registry.database.read(holdings.find_manifests, digest)
    times = _Times(registry.policy.garbage, registry.database.clock.now_ms())
    sentences = _of_blob(blob, times) if blob else await _of_file(registry, digest, times)
    return [*sentences, *(_of_manifest(each, times) for each in manifests)]


async def _of_file(registry: Registry, digest: Digest, times: _Times) -> list[str]:
    """What is said of a file that stands there without a row."""
    size = await registry.hops(registry.files.size_of_blob, digest)
    if size is None:
        return []
    seen_ms = await registry.database.read(orphans.seen_ms, digest)
    what = f"It is an orphan: a file of {size:,} bytes that the database does not know"
    if seen_ms is None:
        return [f"{what}; the next run that walks the folders notes it, and gc.horizon later it goes."]
    goes_ms = seen_ms + times.policy.horizon_seconds * 1000
    paused = "; but nothing is swept until cargohold recover" if registry.restoration.is_open else ""
    return [
        f"{what}, seen {times.since(seen_ms)}; it goes {times.until(goes_ms)} (gc.horizon){paused}. A push takes it."
    ]


class _Times:
    """Moments on the daemon's clock, said from now."""

    def __init__(self, policy: GarbagePolicy, now_ms: int) -> None:
        self.policy = policy
        self._now_ms = now_ms

    def has_passed(self, moment_ms: float) -> bool:
        return moment_ms <= self._now_ms

    def until(self, moment_ms: float) -> str:
        if self.has_passed(moment_ms):
            return "with the next run"
        return f"in {_duration((moment_ms - self._now_ms) / 1000)} at the earliest"

    def since(self, moment_ms: float) -> str:
        return f"for {_duration((self._now_ms - moment_ms) / 1000)}"


def _of_blob(blob: HeldBlob, times: _Times) -> list[str]:
    sentences = [f"It is a blob of {blob.size:,} bytes."]
    if blob.damage is not None:
        sentences.append(f"Its file is {blob.damage}: the next push heals it, and nothing that needs it is collected.")
    if blob.condemned_ms is not None:
        goes_ms = blob.condemned_ms + times.policy.horizon_seconds * 1000
        sentences.append(
            f"No repository has it any more ({times.since(blob.condemned_ms)}); its file is removed"
            f" {times.until(goes_ms)}, or earlier if the disk gets full (gc.horizon). A push brings it back."
        )
    return sentences + [_of_link(link, times) for link in blob.links]


def _of_link(link: Link, times: _Times) -> str:
    if link.unreferenced_ms is None:
        return f"{link.repository} holds it by {'; '.join(link.manifests)}."
    goes_ms = max(link.unreferenced_ms + times.policy.grace_seconds * 1000, link.kept_until_ms)
    lease = "" if times.has_passed(link.kept_until_ms) else ", and a client may be about to use it (gc.lease_seconds)"
    return (
        f"{link.repository} has it although no manifest there refers to it {times.since(link.unreferenced_ms)}{lease};"
        f" it goes {times.until(goes_ms)} (gc.grace)."
    )


def _of_manifest(manifest: HeldManifest, times: _Times) -> str:
    holders = [f"the tag {tag}" for tag in manifest.tags] + [f"the index {digest}" for digest in manifest.indexes]
    if manifest.subject is not None:
        holders.append(f"its subject {manifest.subject}")
    held = f"It is a manifest in {manifest.repository}"
    held += f", where {', '.join(holders)} may lead to it" if holders else ", where nothing leads to it"
    if not times.has_passed(manifest.kept_until_ms) and not manifest.tags:
        held += ", and a client may be about to use it (gc.lease_seconds)"
    if manifest.is_reachable:
        return f"{held}; it stays."
    if times.policy.untagged_after_seconds is None:
        return f"{held}; it stays, for untagged manifests are kept (gc.untagged_after is not set)."
    if manifest.unreachable_ms is None:
        return f"{held}; the next run marks it as untagged (gc.untagged_after)."
    goes_ms = max(manifest.unreachable_ms + times.policy.untagged_after_seconds * 1000, manifest.kept_until_ms)
    return (
        f"{held}, and no tag leads there {times.since(manifest.unreachable_ms)}; it goes {times.until(goes_ms)}"
        " (gc.untagged_after)."
    )


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
