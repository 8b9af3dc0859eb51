"""What may be true of a repository: one state where an answer told, several where none came."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Fact(Generic[T]):
    """The states that are right, as far as is known."""

    def __init__(self, value: T) -> None:
        self.possible = frozenset({value})

    def intend(self, act: Callable[[T], T]) -> Callable[[bool | None], None]:
        """From now on the act may have happened; call what is returned with its outcome, None where it is unknown."""
        before = self.possible
        after = frozenset(map(act, before))
        self.possible = before | after

        def settle(outcome: bool | None) -> None:
            if outcome is not None:
                self.possible = after if outcome else before

        return settle

    def is_certainly(self, value: T) -> bool:
        return self.possible == {value}

    def observe(self, value: T) -> bool:
        """Take what was seen for the truth; whether it was right."""
        right = value in self.possible
        self.possible = frozenset({value})
        return right


@dataclass(frozen=True, slots=True)
class Names:
    """The manifests of a repository, and the tags that name them: pairs of tag and digest."""

    manifests: frozenset[str] = frozenset()
    tags: frozenset[tuple[str, str]] = frozenset()

    def push(self, digest: str, *tags: str) -> Names:
        others = {(tag, named) for tag, named in self.tags if tag not in tags}
        return Names(self.manifests | {digest}, frozenset(others | {(tag, digest) for tag in tags}))

    def delete_tag(self, tag: str) -> Names:
        return replace(self, tags=frozenset(pair for pair in self.tags if pair[0] != tag))

    def delete_manifest(self, digest: str) -> Names:
        """The tags that name it go in the same transaction."""
        return Names(self.manifests - {digest}, frozenset(pair for pair in self.tags if pair[1] != digest))

    def differences(self, seen: Names) -> list[str]:
        """What is seen and should not be, or should be and is not; one sentence each."""
        sentences = [f"manifest {digest} is not there" for digest in sorted(self.manifests - seen.manifests)]
        sentences += [f"manifest {digest} is there" for digest in sorted(seen.manifests - self.manifests)]
        should, does = dict(self.tags), dict(seen.tags)
        for tag in sorted(should.keys() | does.keys()):
            if should.get(tag) != does.get(tag):
                sentences.append(f"tag {tag} names {does.get(tag)}, not {should.get(tag)}")
        return sentences


@dataclass(eq=False, slots=True)
class Session:
    """An upload session.

    ``offset`` is what the last 202 said; ``sent`` are the bytes that it and PATCHes without an answer may have stored.
    ``closing`` is the digest of a closing PUT without an answer, ``closing_told`` whether the blob was certainly not
    there before it, so that its presence tells of the outcome. ``cancelling`` tells of a DELETE without an answer,
    ``ended`` what ended the session for sure.
    """

    name: str
    location: str
    sent: bytes = b""
    offset: int = 0
    closing: str | None = None
    closing_told: bool = False
    cancelling: bool = False
    ended: str | None = None

    @property
    def may_be_gone(self) -> bool:
        return self.ended is not None or self.closing is not None or self.cancelling


@dataclass(eq=False, slots=True)
class Repository:
    """``touched`` since it was verified last."""

    name: str
    blobs: dict[str, Fact[bool]] = field(default_factory=dict)
    names: Fact[Names] = field(default_factory=lambda: Fact(Names()))
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    sessions: list[Session] = field(default_factory=list)
    touched: bool = True

    def blob(self, digest: str) -> Fact[bool]:
        return self.blobs.setdefault(digest, Fact(False))

    def intend_push(self, manifest: bytes, digest: str, tags: tuple[str, ...]) -> Callable[[bool | None], None]:
        self.manifests[digest] = manifest
        self.tags.update(tags)
        return self.names.intend(lambda names: names.push(digest, *tags))


def first_difference(one: bytes, other: bytes) -> str:
    """Where two contents begin to differ, for a sentence."""
    for offset, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return f"{len(one)} bytes were pushed, {len(other)} come back, and byte {offset} differs"
    return f"{len(one)} bytes were pushed, {len(other)} come back"


def describe(answer: tuple[int, dict[str, str], bytes]) -> str:
    """Status and beginning of the body."""
    return f"{answer[0]} {answer[2][:120]!r}"
