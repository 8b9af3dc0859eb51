"""A client that does what clients do, in a random order, until it gets no answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.tools.content import CONFIG, image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.facts import Session
    from tests.faults.ledger import Ledger

_POOL = 40
"""Contents that all clients share, so that several push the same one at once, or one that another deletes."""

_LARGEST_BYTES = 2 * 1024 * 1024

_TAGS = ("latest", "stable", "v1", "v2", "v3")


def make_pool(chance: random.Random) -> list[bytes]:
    """Contents of 0 bytes to 2 MiB, most of them small."""
    sizes = [0, *(int(_LARGEST_BYTES ** chance.random()) for _ in range(_POOL - 2)), _LARGEST_BYTES]
    return [chance.randbytes(size) for size in sizes]


class Load:
    """Works on two repositories of its own, between which it mounts too."""

    def __init__(self, ledger: Ledger, name: str, pool: Sequence[bytes], seed: float) -> None:
        self._ledger = ledger
        self._names = (f"{name}/one", f"{name}/two")
        self._pool = pool
        self._chance = random.Random(seed)
        self._manifests: list[bytes] = []
        self._sessions: list[Session] = []
        self._faults: list[str] = []
        self._acts: list[Callable[[str], int | None]] = [
            *[self._push] * 4,
            *[self._push_chunked] * 2,
            *[self._push_manifest] * 4,
            *[self._append] * 3,
            *[self._mount, self._finish, self._begin, self._cancel],
            *[self._delete_tag, self._delete_manifest, self._delete_blob],
        ]

    def run(self) -> None:
        """Act after act, until one is not answered."""
        status: int | None = 0
        while status is not None:
            act = self._chance.choice(self._acts)
            status = act(self._chance.choice(self._names))
            if status is not None and status >= 500:
                self._faults.append(f"{act.__name__} was answered with {status}")

    def take_faults(self) -> list[str]:
        """Answers of 500 and above since the last time: nothing is wrong with the disk here."""
        faults, self._faults = self._faults, []
        return faults

    def _content(self) -> bytes:
        return self._chance.choice(self._pool)

    def _push(self, name: str) -> int | None:
        return self._ledger.push(name, self._content(), self._chance.choice(["sha256"] * 3 + ["sha512"]))

    def _push_chunked(self, name: str) -> int | None:
        content = self._content()
        cut, end = sorted(self._chance.randint(0, len(content)) for _ in range(2))
        return self._ledger.push_chunked(name, [content[:cut], content[cut:end], content[end:]])

    def _mount(self, name: str) -> int | None:
        return self._ledger.mount(name, self._content(), self._chance.choice(self._names))

    def _push_manifest(self, name: str) -> int | None:
        """An image of one layer, new or one that was pushed before; its blobs go first."""
        if self._manifests and self._chance.random() < 0.3:
            manifest = self._chance.choice(self._manifests)
        else:
            layer = self._content()
            for content in (CONFIG, layer):
                status = self._ledger.push(name, content)
                if status != 201:
                    return status
            manifest = image(layer, annotations={"number": str(self._chance.randrange(10))})
            self._manifests.append(manifest)
        return self._ledger.push_manifest(name, manifest, self._chance.sample(_TAGS, self._chance.randrange(4)))

    def _begin(self, name: str) -> int | None:
        session = self._ledger.begin(name)
        if session is None:
            return None
        self._sessions.append(session)
        return 202

    def _session(self) -> Session | None:
        self._sessions = [session for session in self._sessions if session.ended is None]
        return self._chance.choice(self._sessions) if self._sessions else None

    def _append(self, name: str) -> int | None:
        session = self._session()
        return self._begin(name) if session is None else self._ledger.append(session, self._content())

    def _finish(self, name: str) -> int | None:
        session = self._session()
        return self._begin(name) if session is None else self._ledger.finish(session, self._content())

    def _cancel(self, name: str) -> int | None:
        session = self._session()
        return self._begin(name) if session is None else self._ledger.cancel(session)

    def _delete_tag(self, name: str) -> int | None:
        return self._ledger.delete_tag(name, self._chance.choice(_TAGS))

    def _delete_manifest(self, name: str) -> int | None:
        return self._ledger.delete_manifest(name, self._chance.choice(self._manifests or [image()]))

    def _delete_blob(self, name: str) -> int | None:
        return self._ledger.delete_blob(name, self._content())
