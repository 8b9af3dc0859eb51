"""Answers that are given again, word for word, while nothing has changed that they follow from.

What is asked for most is asked for in the same words: by the clients of a farm, and by one that looks whether there is
news. Such an answer follows from rows, and from what the operator has decided; so it stands until somebody commits.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from registry.http.answers import FileSlice
from registry.service.principals import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.http.access_log import Entry
    from registry.http.answers import Answer
    from registry.http.heads import Head
    from registry.http.route import Route
    from registry.service.registry import Registry

_SECONDS = 1.0
"""Nothing is given again for longer: what is due by the clock, such as to verify a blob, need not wait for a commit."""

_HEAD_BYTES = 2048
_BODY_BYTES = 16 * 1024
"""Of one that is kept."""

_ENTRY_BYTES = 3000
"""What Python needs to keep one, whatever its words are."""

_ALL_BYTES = 4 * 1024 * 1024

_READS = (b"GET ", b"HEAD ")


class Asked(NamedTuple):
    """What the head of a request asks for."""

    head: Head
    route: Route
    path_values: Mapping[str, str]


class Repeat(NamedTuple):
    """An answer, and who got it to what."""

    asked: Asked
    principal: str
    answer: Answer
    until: float

    def answer_to(self, entry: Entry) -> Answer:
        """The answer, and its request's entry is told what there is to know."""
        entry.lead_to(self.asked.route.name, self.asked.path_values)
        entry.principal = self.principal
        return self.answer


class Repeats:
    """By the bytes of heads. Those of one set of settings; another one begins with none."""

    def __init__(self, registry: Registry, all_bytes: int = _ALL_BYTES) -> None:
        """``all_bytes`` is what is kept at most."""
        self._registry = registry
        self._policy = registry.policy
        self._all_bytes = all_bytes
        self._kept: dict[bytes, Repeat] = {}
        self._bytes = 0
        self.version = 0
        """Of the database, when it was asked last (see ``Readers.version_now``)."""

    def find(self, data: bytes) -> Repeat | None:
        """The answer to the request with this head, if it is known and still stands."""
        if not data.startswith(_READS):
            return None
        version = self._registry.database.version_now()
        if version != self.version or self._registry.policy is not self._policy:
            self.version, self._policy = version, self._registry.policy
            self._kept.clear()
            self._bytes = 0
        repeat = self._kept.get(data)
        return None if repeat is None or repeat.until <= monotonic() else repeat

    def keep(self, data: bytes, asked: Asked, principal: str | None, answer: Answer, version: int) -> None:
        """Keep an answer, if it may be given again; ``version`` was that of the database before it was asked for.

        Nobody's credentials are in it: they would have to be looked at again.
        """
        if not answer.is_settled or isinstance(answer.body, FileSlice) or principal != ANONYMOUS.name:
            return
        if len(data) > _HEAD_BYTES or len(answer.body) > _BODY_BYTES:
            return
        if not self.version == version == self._registry.database.version_now():
            return  # it may follow from what was before, or from what is now
        self._forget(data)
        self._kept[data] = Repeat(asked, principal, answer, monotonic() + _SECONDS)
        self._bytes += _weight(data, answer.body)
        while self._bytes > self._all_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, data: bytes) -> None:
        repeat = self._kept.pop(data, None)
        if repeat is not None:
            assert isinstance(repeat.answer.body, bytes)
            self._bytes -= _weight(data, repeat.answer.body)


def _weight(data: bytes, body: bytes) -> int:
    return _ENTRY_BYTES + len(data) + len(body)
