"""A load on a daemon whose disk is logged, and when in that log each thing became so.

A thing (a key) is what a client can ask for: a blob in a repository, a tag, a manifest, an upload. Each is changed by
one thread only, so that its changes follow each other. (The ledger can't be used here: it knows what is true now, and
this has to tell what was true at each point of the log.)
"""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from registry.oci.media_types import OCI_IMAGE
from tests.tools.content import CONFIG, digest_of, image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.tools.daemon import Daemon

Key = tuple[str, str, str]
"""``blob``, ``tag``, ``manifest`` or ``upload``; the repository; the digest, the tag's name or the upload's id."""

Value = int | str | bytes | None
"""A blob's size, a tag's digest, a manifest's bytes, an upload's offset; None: it is not there."""

SHARED = "shared"
"""The repository whose blobs every thread mounts and nobody deletes."""


@dataclass(frozen=True, slots=True)
class Change:
    """``start`` and ``end``: the log's length before the request was sent, and after its answer had come."""

    start: int
    end: int
    value: Value


@dataclass
class Facts:
    """What was acknowledged, and by which position in the log."""

    log: Path
    changes: dict[Key, list[Change]] = field(default_factory=dict)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    """By the id of an upload what was sent to it so far."""
    acknowledged: int = 0
    began: int = 0
    """The log's length when there was an empty file system."""
    ended: int = 0
    """The log's length when the last client had gone; what garbage collection did later is not told here."""

    def position(self) -> int:
        return self.log.stat().st_size

    def note(self, start: int, values: Mapping[Key, Value]) -> None:
        """A request that was sent at ``start`` has been answered now, and made things so."""
        end = self.position()
        for key, value in values.items():
            self.changes.setdefault(key, []).append(Change(start, end, value))

    def allowed(self, key: Key, cut: int) -> list[Value]:
        """What a thing may be after a cut: what was acknowledged last, or what was just being made of it."""
        values: list[Value] = [None]
        for change in self.changes.get(key, ()):
            if change.end <= cut:
                values = [change.value]
            elif change.start <= cut:
                values.append(change.value)
        return values


def load(daemon: Daemon, facts: Facts, seed: int, *, threads: int, acts: int) -> None:
    """Let so many threads act on repositories of their own; returns when all is answered."""
    with ExitStack() as stack:
        shared = stack.enter_context(closing(_Client(daemon, facts, SHARED, Random(seed))))
        for _ in range(4):
            shared.push()
        clients = [
            stack.enter_context(closing(_Client(daemon, facts, f"own/{seed}-{number}", Random(f"{seed} {number}"))))
            for number in range(threads)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        for outcome in [pool.submit(client.act, acts, shared.blobs) for client in clients]:
            outcome.result()
        facts.acknowledged += sum(client.acknowledged for client in [shared, *clients])


class _Client:
    """One connection that changes one repository."""

    def __init__(self, daemon: Daemon, facts: Facts, repository: str, random: Random) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self._facts, self._repository, self._random = facts, repository, random
        self.blobs: list[bytes] = []
        self._manifests: dict[str, bytes] = {}
        self._tags: dict[str, str] = {}
        self.acknowledged = 0

    def close(self) -> None:
        self._connection.close()

    def act(self, acts: int, mountable: list[bytes]) -> None:
        self.push(CONFIG)
        choices = [self.push] * 4 + [self.push_in_chunks] * 4 + [self.push_manifest] * 4
        choices += [self.cancel, self.delete_tag, self.delete_manifest, self.delete_blob]
        choices.append(lambda: self.mount(self._random.choice(mountable)))
        while self.acknowledged < acts:
            self._random.choice(choices)()

    def push(self, content: bytes | None = None) -> None:
        content = self._new_content() if content is None else content
        digest = digest_of(content)
        self._ask("POST", f"blobs/uploads/?digest={digest}", content, {self._blob(digest): len(content)})
        self._keep(content)

    def push_in_chunks(self) -> None:
        """Sometimes the last request of the push is left out."""
        upload, content = self._begin(), self._new_content()
        first = self._random.randrange(len(content))
        offset = 0
        for end in (first, len(content)):
            self._facts.uploaded[upload[2]] = content[:end]
            self._ask("PATCH", f"blobs/uploads/{upload[2]}", content[offset:end], {upload: end})
            offset = end
        if self._random.random() < 0.8:
            digest = digest_of(content)
            values = {upload: None, self._blob(digest): len(content)}
            self._ask("PUT", f"blobs/uploads/{upload[2]}?digest={digest}", b"", values)
            self._keep(content)

    def cancel(self) -> None:
        upload = self._begin()
        self._ask("DELETE", f"blobs/uploads/{upload[2]}", b"", {upload: None})

    def mount(self, content: bytes) -> None:
        digest = digest_of(content)
        target = f"blobs/uploads/?mount={digest}&from={SHARED}"
        self._ask("POST", target, b"", {self._blob(digest): len(content)})

    def push_manifest(self) -> None:
        layers = self._random.sample(self.blobs, min(2, len(self.blobs)))
        body = image(*layers, annotations={"made": str(self._random.random())})
        digest, tag = digest_of(body), f"t{self._random.randrange(8)}"
        values = {("manifest", self._repository, digest): body, ("tag", self._repository, tag): digest}
        self._ask("PUT", f"manifests/{tag}", body, values)
        self._manifests[digest], self._tags[tag] = body, digest

    def delete_tag(self) -> None:
        if self._tags:
            tag = self._random.choice(sorted(self._tags))
            self._ask("DELETE", f"manifests/{tag}", b"", {("tag", self._repository, tag): None})
            del self._tags[tag]

    def delete_manifest(self) -> None:
        if self._manifests:
            digest = self._random.choice(sorted(self._manifests))
            gone: dict[Key, Value] = {("manifest", self._repository, digest): None}
            tags = [tag for tag, named in self._tags.items() if named == digest]
            gone.update({("tag", self._repository, tag): None for tag in tags})
            self._ask("DELETE", f"manifests/{digest}", b"", gone)
            del self._manifests[digest]
            for tag in tags:
                del self._tags[tag]

    def delete_blob(self) -> None:
        """Only one that no manifest refers to can go."""
        free = [blob for blob in self.blobs if not any(digest_of(blob).encode() in m for m in self._manifests.values())]
        if free and free != [CONFIG]:
            content = self._random.choice([blob for blob in free if blob != CONFIG])
            digest = digest_of(content)
            self._ask("DELETE", f"blobs/{digest}", b"", {self._blob(digest): None})
            self.blobs.remove(content)

    def _begin(self) -> Key:
        start = self._facts.position()
        location = self._send("POST", "blobs/uploads/", b"").headers["Location"]
        upload = ("upload", self._repository, location.rpartition("/")[2])
        self._facts.uploaded[upload[2]] = b""
        self._facts.note(start, {upload: 0})
        return upload

    def _ask(self, method: str, target: str, body: bytes, values: Mapping[Key, Value]) -> None:
        start = self._facts.position()
        self._send(method, target, body)
        self._facts.note(start, values)

    def _send(self, method: str, target: str, body: bytes) -> http.client.HTTPResponse:
        headers = {"Content-Type": OCI_IMAGE} if target.startswith("manifests/") and body else {}
        self._connection.request(method, f"/v2/{self._repository}/{target}", body, headers)
        response = self._connection.getresponse()
        said: Any = response.read()
        assert 200 <= response.status < 300, (method, target, response.status, said)
        self.acknowledged += 1
        return response

    def _new_content(self) -> bytes:
        return self._random.randbytes(self._random.choice([10, 700, 5_000, 20_000]))

    def _keep(self, content: bytes) -> None:
        if content not in self.blobs:
            self.blobs.append(content)

    def _blob(self, digest: str) -> Key:
        return ("blob", self._repository, digest)
