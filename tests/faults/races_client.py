"""A client in a race: pushes and skips what is there, mounts, moves tags, pulls and deletes, with pauses in between."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import trio

from registry.oci.conditions import Condition
from registry.oci.digests import Digest
from registry.oci.errors import (
    BlobReferenced,
    BlobUnknown,
    BlobUploadUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    UploadBusy,
)
from registry.oci.names import RepositoryName, Tag
from registry.service import blobs, manifests
from registry.service.manifests import Content
from registry.service.principals import ANONYMOUS
from registry.store import blobs as blob_rows
from tests.faults import races_requests
from tests.faults.races_content import CONTENTS, IMAGES, INDEXES, KNOWN, NAMES, TAGS, blobs_of, children_of
from tests.faults.races_history import Change, Promise
from tests.faults.races_world import IDLE_MS, NoAnswer, Span
from tests.tools.content import digest_of

if TYPE_CHECKING:
    import random

    from registry.service.registry import Registry
    from tests.faults.races_history import History
    from tests.faults.races_world import World

UNCONDITIONAL = Condition(None, None)

_PAUSES = (0, 0, 0, 1, 2, 5, 12, 40)

Promises = dict[str, Promise]
"""By digest."""


class Client:
    def __init__(self, world: World, history: History, name: str, chance: random.Random) -> None:
        self._world = world
        self._history = history
        self._name = name
        self._chance = chance
        self._acts = [
            *[self._push_image] * 8,
            *[self._push_index, self._retag, self._pull] * 2,
            *[self._delete_tag, self._delete_manifest, self._delete_manifest, self._delete_blob],
        ]

    async def live(self, acts: int) -> None:
        for _ in range(acts):
            await self._pause()
            await self.act(self._chance.choice(self._acts))

    async def act(self, act: Any, *args: Any) -> None:
        """One act; where it gets no answer, or one that ends it rightly, the rest of it is left out."""
        try:
            await act(*args)
        except (NoAnswer, _Excused):
            pass
        except (RegistryError, sqlite3.Error, OSError) as error:
            self._world.lose(f"{self._name}: {act.__name__[1:]} ends with {error!r}")

    async def push_blob(self, name: str, content: bytes) -> Promise:
        """By a mount, in a session, or in one request."""
        promise = Promise(Span(0), self._world.now_ms(), pushed=True)
        way = self._chance.randrange(3)
        source = self._pick((None, *NAMES))
        what = f"mount {_short(content)} of {source} in {name}"
        if way == 0 and await self._ask(what, promise.span, races_requests.mount, name, content, source):
            return promise
        push = races_requests.push_in_session if way == 1 else races_requests.push_at_once
        promise.clock_ms = self._world.now_ms()
        try:
            await self._ask(f"push {_short(content)} to {name}", promise.span, push, name, content)
        except (UploadBusy, BlobUploadUnknown):  # a session that expired, or is about to
            if self._world.now_ms() - promise.clock_ms < IDLE_MS:
                raise
            raise _Excused from None
        self._history.acknowledged += 1
        return promise

    async def push(self, name: str, manifest: bytes, tags: tuple[str, ...]) -> None:
        promises = await self._provide(name, manifest)
        await self._pause()
        await self._put(name, manifest, tags, promises)

    async def _push_image(self) -> None:
        await self.push(self._pick(NAMES), self._pick(IMAGES), self._some_tags())

    async def _push_index(self) -> None:
        await self.push(self._pick(NAMES), self._pick(INDEXES), self._some_tags())

    async def _provide(self, name: str, manifest: bytes) -> Promises:
        """Push what the manifest refers to, unless the registry says that it has it."""
        promises = {}
        for content in blobs_of(manifest):
            seen = await self._see_blob(name, content)
            await self._pause()
            promises[digest_of(content)] = seen or await self.push_blob(name, content)
        for child in children_of(manifest):
            found = await self._see_manifest(name, child)
            await self._pause()
            promises[digest_of(child)] = found or await self._put(name, child, (), await self._provide(name, child))
        return promises

    async def _put(self, name: str, manifest: bytes, tags: tuple[str, ...], promises: Promises) -> Promise:
        promise = Promise(Span(0), self._world.now_ms())
        change = Change(promise.span, digest_of(manifest))
        self._history.change_tags(name, tags, change)
        more = [Tag(tag) for tag in tags]
        content = Content(manifest, None)

        async def put(registry: Registry) -> None:
            reference = Digest.parse(digest_of(manifest))
            await manifests.push(registry, RepositoryName(name), reference, more, content, UNCONDITIONAL, ANONYMOUS)

        try:
            await self._ask(f"put {_short(manifest)} {tags} in {name}", promise.span, put)
        except ManifestBlobUnknown as error:
            change.done = False
            missing = [detail["digest"] for _, detail in error.errors]
            self._excuse(f"a push of {_short(manifest)} to {name}", name, missing, promises, promise.span)
        change.done = True
        self._history.acknowledged += 1
        return promise

    def _excuse(self, what: str, name: str, missing: list[str], promises: Promises, span: Span) -> None:
        """Raises _Excused where each of the digests may rightly be missing; else that is told as well."""
        for digest in missing:
            promise = promises[digest]
            excuse = self._history.excuse(name, digest, promise, span, self._world.now_ms())
            if excuse is None:
                seen = "seen while a manifest held it" if promise.referenced else "seen"
                at = f"at {promise.span.start}-{promise.span.end}, clock {promise.clock_ms}"
                meanwhile = ", after gc run --now" if self._history.ran_now(promise, span) else ""
                self._world.lose(
                    f"{self._name}: {what} misses {digest[:13]}, {'pushed' if promise.pushed else seen} {at},"
                    f" at clock {self._world.now_ms()}{meanwhile}"
                )
            else:
                self._history.excuses[excuse] += 1
        raise _Excused

    async def _see_blob(self, name: str, content: bytes) -> Promise | None:
        """HEAD."""
        promise = Promise(Span(0), 0)
        repository, digest = RepositoryName(name), Digest.of(content)

        async def see(registry: Registry) -> None:
            row = registry.database.read_now(blob_rows.find, repository, digest)
            promise.referenced = row is not None and row.unreferenced_ms is None
            promise.clock_ms = self._world.now_ms()
            await blobs.find(registry, repository, digest)

        try:
            await self._ask(f"see {_short(content)} in {name}", promise.span, see)
        except BlobUnknown:
            return None
        return promise

    async def _see_manifest(self, name: str, manifest: bytes) -> Promise | None:
        promise = Promise(Span(0), self._world.now_ms())
        digest = Digest.parse(digest_of(manifest))
        what = f"see {_short(manifest)} in {name}"
        try:
            await self._ask(what, promise.span, manifests.find, RepositoryName(name), digest)
        except ManifestUnknown:
            return None
        return promise

    async def _retag(self) -> None:
        """Give a manifest that is there another tag, without a look at the blobs that it refers to."""
        name = self._pick(NAMES)
        found = await self._read(name, self._pick(TAGS))
        if found is not None:
            manifest, promise = found
            await self._pause()
            promises = await self._provide(name, manifest) if children_of(manifest) else {}
            promises |= {digest_of(content): promise for content in blobs_of(manifest)}
            await self._put(name, manifest, self._some_tags(), promises)

    async def _pull(self) -> None:
        name = self._pick(NAMES)
        found = await self._read(name, self._pick(TAGS))
        if found is not None:
            manifest, promise = found
            for content in blobs_of(manifest):
                await self._pause()
                await self._pull_blob(name, content, promise)

    async def _read(self, name: str, tag: str) -> tuple[bytes, Promise] | None:
        """What a tag names; it keeps the blobs that it refers to."""
        promise = Promise(Span(0), self._world.now_ms(), referenced=True)
        try:
            content = await self._ask(
                f"read {name}:{tag}", promise.span, manifests.read, RepositoryName(name), Tag(tag)
            )
        except ManifestUnknown:
            return None
        if content.body not in KNOWN:
            self._world.lose(f"{self._name}: {name}:{tag} is answered with {content.body!r}")
            raise _Excused
        return content.body, promise

    async def _pull_blob(self, name: str, content: bytes, promise: Promise) -> None:
        span = Span(0)
        try:
            read = await self._ask(
                f"pull {_short(content)} from {name}", span, races_requests.pull, name, Digest.of(content)
            )
        except BlobUnknown:
            digest = digest_of(content)
            self._excuse(f"a pull from {name}", name, [digest], {digest: promise}, span)
        if read != content:
            self._world.lose(f"{self._name}: {name}@{digest_of(content)} is answered with {read!r}")

    async def _delete_tag(self) -> None:
        name, tag = self._pick(NAMES), self._pick(TAGS)
        change = Change(Span(0), None)
        self._history.change_tags(name, (tag,), change)
        await self._delete(name, Tag(tag), change)

    async def _delete_manifest(self) -> None:
        name, manifest = self._pick(NAMES), self._pick((*IMAGES, *INDEXES))
        change = Change(Span(0), digest_of(manifest))
        self._history.delete(name, digest_of(manifest), change)
        await self._delete(name, Digest.of(manifest), change)

    async def _delete(self, name: str, reference: Tag | Digest, change: Change) -> None:
        what = f"delete {str(reference)[:13]} from {name}"
        try:
            await self._ask(
                what, change.span, manifests.delete, RepositoryName(name), reference, UNCONDITIONAL, ANONYMOUS
            )
        except (ManifestUnknown, NameUnknown):
            change.done = False
        else:
            change.done = True

    async def _delete_blob(self) -> None:
        name, digest = self._pick(NAMES), Digest.of(self._pick(CONTENTS))
        change = Change(Span(0), str(digest))
        self._history.delete(name, str(digest), change)
        try:
            await self._ask(
                f"delete {str(digest)[:13]} from {name}",
                change.span,
                blobs.delete,
                RepositoryName(name),
                digest,
                ANONYMOUS,
            )
        except (BlobUnknown, BlobReferenced):
            change.done = False
        else:
            change.done = True

    async def _ask(self, what: str, span: Span, act: Any, *args: Any) -> Any:
        return await self._world.request(f"{self._name}: {what}", span, act, *args)

    async def _pause(self) -> None:
        for _ in range(self._chance.choice(_PAUSES)):
            await trio.lowlevel.checkpoint()

    def _some_tags(self) -> tuple[str, ...]:
        return tuple(self._chance.sample(TAGS, self._chance.randrange(3)))

    def _pick(self, choices: Any) -> Any:
        return self._chance.choice(choices)


class _Excused(Exception):
    """What was begun can't go on; that is right, or has been told."""


def _short(content: bytes) -> str:
    return digest_of(content)[7:13]
