"""What clients did, and what may have become of it: several orders are right where acts overlapped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.races_world import LEASE_MS, SEEN_MS, Span


@dataclass(slots=True)
class Change:
    """Of a tag, or by the deletion of a manifest or a blob. ``done`` None: there was no answer."""

    span: Span
    digest: str | None
    done: bool | None = None


@dataclass(slots=True)
class Promise:
    """Content that a client saw, or pushed, and relies on. ``referenced``: it held no lease, for a manifest kept it."""

    span: Span
    clock_ms: int
    pushed: bool = False
    referenced: bool = False


@dataclass
class History:
    """Repositories and tags by their names, digests as text. ``excuses`` counts the pushes that failed rightly."""

    tags: dict[tuple[str, str], list[Change]] = field(default_factory=dict)
    deleted: dict[tuple[str, str], list[Change]] = field(default_factory=dict)
    runs_now: list[Span] = field(default_factory=list)
    excuses: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0

    def change_tags(self, name: str, tags: tuple[str, ...], change: Change) -> None:
        for tag in tags:
            self.tags.setdefault((name, tag), []).append(change)

    def delete(self, name: str, digest: str, change: Change) -> None:
        """A manifest, or a blob, by its digest."""
        self.deleted.setdefault((name, digest), []).append(change)

    def possible(self, name: str, tag: str) -> set[str | None]:
        """The digests that the tag may name now; None where it may be gone."""
        changes = [change for change in self.tags.get((name, tag), []) if change.done is not False]
        certain = [change for change in changes if change.done]
        values: set[str | None] = set()
        if not any(change.digest for change in certain):
            values.add(None)
        for change in changes:
            deletions = [each for each in self._deletions(name, change.digest) if each.done]
            if not any(later.span.began_after(change.span) for later in (*certain, *deletions)):
                values.add(change.digest)
            for deletion in self._deletions(name, change.digest):
                is_too_early = change.span.began_after(deletion.span)
                if not is_too_early and not any(later.span.began_after(deletion.span) for later in certain):
                    values.add(None)
        return values

    def excuse(self, name: str, digest: str, promise: Promise, span: Span, clock_ms: int) -> str | None:
        """Why a request of this span may rightly miss what was promised before."""
        kept_ms = LEASE_MS if promise.pushed else SEEN_MS
        if clock_ms - promise.clock_ms >= kept_ms:
            return "the lease ran out"
        if any(_overlaps(each.span, promise.span.start, span) for each in self._deletions(name, digest)):
            return "deleted by name"
        if promise.referenced and self.ran_now(promise, span):
            return "seen in a manifest that was deleted or collected, then gc run --now"
        return None

    def ran_now(self, promise: Promise, span: Span) -> bool:
        """Whether garbage collection ran without grace between the promise and the end of the request."""
        return any(_overlaps(run, promise.span.start, span) for run in self.runs_now)

    def _deletions(self, name: str, digest: str | None) -> list[Change]:
        return [each for each in self.deleted.get((name, digest or ""), []) if each.done is not False]


def _overlaps(span: Span, start: int, last: Span) -> bool:
    return not span.ended_before(start) and (last.end is None or span.start < last.end)
