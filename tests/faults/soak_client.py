"""One client of the soak: pushes as clients do, pulls, moves tags and deletes, on one connection that stays open."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.tools.content import digest_of, image, index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.tools.daemon import Daemon

SHARED = ("soak/one", "soak/two", "soak/three")
"""Repositories in which every client pushes and deletes. Blobs and children of indexes are deleted in none of them:
a push that relies on one may rightly fail when somebody deletes it by name."""

TAGS = ("latest", "stable", "v1", "v2", "v3", "v4")

Reply = tuple[int, "Mapping[str, str]", bytes]


@dataclass(frozen=True)
class Manifest:
    """With the blobs, or the children, that it refers to."""

    body: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple[Manifest, ...] = ()

    @cached_property
    def digest(self) -> str:
        return digest_of(self.body)

    @property
    def media_type(self) -> str:
        return str(json.loads(self.body)["mediaType"])


class Pool:
    """What all clients push: the same for the same seed."""

    def __init__(self, seed: int, images: int = 600) -> None:
        chance = random.Random(seed)
        configs = [chance.randbytes(chance.randrange(1, 300)) for _ in range(images // 5)]
        self.layers = [chance.randbytes(int(32768 ** chance.random())) for _ in range(images)]
        self.images = []
        for number in range(images):
            config, layers = configs[number % len(configs)], chance.sample(self.layers, 1 + number % 3)
            body = image(*layers, config=config, annotations={"number": str(number)})
            self.images.append(Manifest(body, (config, *layers)))
        self.children = self.images[::4]
        self.indexes = []
        for number in range(images // 12):
            children = tuple(chance.sample(self.children, 2))
            body = index(*(child.body for child in children), annotations={"number": str(number)})
            self.indexes.append(Manifest(body, children=children))
        self.known = {each.digest: each for each in (*self.images, *self.indexes)}


@dataclass
class Tally:
    """What the clients of one process did. ``slow`` acts took so long that a lease may have run out."""

    events: int = 0
    pushes: int = 0
    skipped: int = 0
    uploaded: int = 0
    pulls: int = 0
    slow: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    slowest_push: float = 0.0
    lost: list[str] = field(default_factory=list)


class Failed(Exception):
    """An answer that a client which keeps to the protocol must not get."""


class Client:
    """``patience_seconds``: what was seen or pushed at the beginning of an act stays for at least so long."""

    def __init__(self, daemon: Daemon, pool: Pool, number: int, seed: int, patience_seconds: float) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=120)
        self._pool = pool
        self._own = f"soak/own-{number}"
        self._chance = random.Random(f"{seed}/{number}")
        self._patience_seconds = patience_seconds
        self._steps: list[str] = []
        self._acts: list[Callable[[], None]] = [
            *[self._push_image] * 9,
            *[self._push_index] * 2,
            *[self._pull] * 5,
            *[self._retag, self._delete_tag, self._delete_own_blob],
            *[self._delete_manifest] * 3,
            *[self._push_own] * 2,
        ]
        self.tally = Tally()

    def act(self) -> None:
        """Do one thing; what goes wrong is told in ``tally.lost``."""
        act = self._chance.choice(self._acts)
        self._steps = []
        started = time.monotonic()
        try:
            act()
        except (Failed, OSError, http.client.HTTPException) as error:
            seconds = time.monotonic() - started
            if isinstance(error, Failed) and seconds >= self._patience_seconds:
                self.tally.slow += 1
            else:
                self._connection.close()
                steps = "; ".join(self._steps)
                self.tally.lost.append(f"{act.__name__[1:]} in {seconds:.2f} s: {error!r} after: {steps}")
        self.tally.acts[act.__name__[1:]] += 1

    def close(self) -> None:
        self._connection.close()

    def pull(self, name: str, reference: str) -> None:
        """Pull the manifest and all it refers to, if it is there, and compare every byte. Raises Failed."""
        status, _, body = self._request("GET", f"/v2/{name}/manifests/{reference}", expected=(200, 404))
        if status == 404:
            return
        manifest = self._pool.known.get(digest_of(body))
        if manifest is None or reference.startswith("sha256:") > (reference == digest_of(body)):
            raise Failed(f"{name}:{reference} is answered with other bytes: {body[:80]!r}")
        self._pull_parts(name, manifest)
        self.tally.pulls += 1

    def _pull_parts(self, name: str, manifest: Manifest) -> None:
        for content in manifest.blobs:
            body = self._request("GET", f"/v2/{name}/blobs/{digest_of(content)}", expected=(200,))[2]
            if body != content:
                raise Failed(f"{name}@{digest_of(content)} has {len(body)} bytes that are not its own")
        for child in manifest.children:
            body = self._request("GET", f"/v2/{name}/manifests/{child.digest}", expected=(200,))[2]
            if body != child.body:
                raise Failed(f"{name}@{child.digest} is answered with other bytes: {body[:80]!r}")
            self._pull_parts(name, child)

    def _push_image(self) -> None:
        self._push(self._chance.choice(SHARED), self._pick(self._pool.images))

    def _push_index(self) -> None:
        self._push(self._chance.choice(SHARED), self._pick(self._pool.indexes))

    def _push_own(self) -> None:
        self._push(self._own, self._pick(self._pool.images))

    def _push(self, name: str, manifest: Manifest) -> None:
        started = time.monotonic()
        tags = self._chance.sample(TAGS, self._chance.choice((0, 1, 1, 2)))
        self._provide(name, manifest)
        self._put_manifest(name, manifest, tags)
        seconds = time.monotonic() - started
        self.tally.pushes += 1
        self.tally.slowest_push = max(self.tally.slowest_push, seconds)

    def _provide(self, name: str, manifest: Manifest) -> None:
        """Push what the manifest refers to and the registry says it does not have."""
        for content in manifest.blobs:
            if self._is_there(f"/v2/{name}/blobs/{digest_of(content)}"):
                continue
            self._push_blob(name, content)
        for child in manifest.children:
            if not self._is_there(f"/v2/{name}/manifests/{child.digest}"):
                self._provide(name, child)
                self._put_manifest(name, child, ())

    def _is_there(self, target: str) -> bool:
        status = self._request("HEAD", target, expected=(200, 404))[0]
        self.tally.skipped += status == 200
        return status == 200

    def _push_blob(self, name: str, content: bytes) -> None:
        """In one request, in a session, or in a session that a mount left open; or by a mount."""
        digest = digest_of(content)
        way = self._chance.randrange(3)
        self.tally.uploaded += 1
        if way == 0:
            self._request("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content, expected=(201,))
            return
        query = f"?mount={digest}" if way == 1 else ""
        status, headers, _ = self._request("POST", f"/v2/{name}/blobs/uploads/{query}", expected=(201, 202))
        if status == 202:
            location = headers["location"]
            cut = self._chance.randint(0, len(content))
            if way == 2 and cut:
                self._request("PATCH", location, content[:cut], expected=(202,))
                content = content[cut:]
            self._request("PUT", f"{location}?digest={digest}", content, expected=(201,))

    def _put_manifest(self, name: str, manifest: Manifest, tags: tuple[str, ...] | list[str]) -> None:
        reference, more = (tags[0], tags[1:]) if len(tags) == 1 else (manifest.digest, tags)
        query = urlencode([("tag", tag) for tag in more])
        headers = {"Content-Type": manifest.media_type}
        self._request("PUT", f"/v2/{name}/manifests/{reference}?{query}", manifest.body, headers, expected=(201,))

    def _retag(self) -> None:
        """Give a manifest that is there another tag, without a look at what it refers to."""
        name = self._chance.choice(SHARED)
        reference = self._chance.choice((*TAGS, self._pick(self._pool.images).digest))
        status, _, body = self._request("GET", f"/v2/{name}/manifests/{reference}", expected=(200, 404))
        if status == 200:
            self._put_manifest(name, self._pool.known[digest_of(body)], [self._chance.choice(TAGS)])

    def _pull(self) -> None:
        name = self._chance.choice((*SHARED, self._own))
        self.pull(name, self._chance.choice((*TAGS, self._pick(self._pool.images).digest)))

    def _delete_tag(self) -> None:
        self._delete(self._chance.choice(SHARED), f"manifests/{self._chance.choice(TAGS)}")

    def _delete_manifest(self) -> None:
        manifests = [self._pick(self._pool.images), self._chance.choice(self._pool.indexes)]
        manifest = self._chance.choice(manifests)
        if manifest not in self._pool.children:
            self._delete(self._chance.choice((*SHARED, self._own)), f"manifests/{manifest.digest}")

    def _delete_own_blob(self) -> None:
        """By name, and pushed again at once."""
        content = self._chance.choice(self._pool.layers)
        if self._delete(self._own, f"blobs/{digest_of(content)}") == 202:
            self._push_blob(self._own, content)

    def _delete(self, name: str, path: str) -> int:
        """405 answers to a blob that a manifest refers to."""
        return self._request("DELETE", f"/v2/{name}/{path}", expected=(202, 404, 405))[0]

    def _pick(self, manifests: list[Manifest]) -> Manifest:
        """Some are pushed all the time, others so rarely that they are collected in between."""
        return manifests[int(len(manifests) * self._chance.random() ** 3)]

    def _request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        expected: tuple[int, ...],
    ) -> Reply:
        """Raises Failed for an answer that is not expected."""
        self._connection.request(method, target, body, dict(headers or {}))
        response = self._connection.getresponse()
        reply = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        self.tally.events += 1
        self._steps.append(f"{method} {target} {reply[0]}")
        if reply[0] not in expected:
            raise Failed(f"{method} {target} is answered with {reply[0]} {reply[2][:200]!r}")
        return reply
