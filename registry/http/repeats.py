"""Answers that are given again, word for word, while nothing has changed that they follow from.

What is asked for most is asked for in the same words: by the clients of a farm, and by one that looks whether there is
news. Such an answer follows from rows, and from what the operator has decided; so it stands until somebody commits.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from registry.http.answers import FileSlice
from registry.service import blobs
from registry.service.principals import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.http.access_log import Entry
    from registry.http.answers import Answer
    from registry.http.heads import Head
    from registry.http.route import Route
    from registry.service.policy import Policy
    from registry.service.registry import Registry

_SECONDS = 1.0
"""Nothing is given again for longer: what is due by the clock, such as to verify a blob, need not wait for a commit."""

_FIELDS = 32
"""Of a head that is kept: many small ones take far more memory than their bytes."""

_HEAD_BYTES = 2048
_BODY_BYTES = 16 * 1024
"""Of one that is kept."""

_ENTRY_BYTES = 3000
"""What Python needs to keep one, whatever its words are."""

_ALL_BYTES = 4 * 1024 * 1024

_READS = (b"GET ", b"HEAD ")

Moment = tuple[object, "Policy"]


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

    def answer_to(self, entry: Entry, registry: Registry) -> Answer | None:
        """The answer, of which its request's entry is told; None where its file can't be opened any more."""
        answer = self.answer
        if isinstance(answer.body, FileSlice):
            file = blobs.reopen(registry, answer.body.file.blob)
            if file is None:
                return None
            answer = answer._replace(body=answer.body._replace(file=file))
        entry.lead_to(self.asked.route.name, self.asked.path_values)
        entry.principal = self.principal
        return answer


class Repeats:
    """By the bytes of heads. Those of one set of settings; another one begins with none."""

    def __init__(self, registry: Registry, all_bytes: int = _ALL_BYTES) -> None:
        """``all_bytes`` is what is kept at most."""
        self._registry = registry
        self._all_bytes = all_bytes
        self._kept: dict[bytes, Repeat] = {}
        self._bytes = 0
        self.moment: Moment = (None, registry.policy)
        """Version of the database and settings as they were looked at last: the same pair until one changes."""

    def find(self, head_bytes: bytes) -> Repeat | None:
        """The answer to the request with this head, if it is known and still stands."""
        if not head_bytes.startswith(_READS):
            return None
        self._look()
        repeat = self._kept.get(head_bytes)
        return None if repeat is None or repeat.until <= monotonic() else repeat

    def keep(self, head_bytes: bytes, asked: Asked, principal: str | None, answer: Answer, moment: Moment) -> None:
        """Keep an answer, if it may be given again; ``moment`` is that before it was asked for.

        Credentials would have to be looked at again, so nobody's are kept.
        """
        if not answer.is_settled or principal != ANONYMOUS.name or not _is_plain(asked.head, len(head_bytes)):
            return
        self._look()
        kept = _without_descriptor(answer)
        if kept is None or moment is not self.moment:  # it may follow from what was before, or from what is now
            return
        self._forget(head_bytes)
        self._kept[head_bytes] = Repeat(asked, principal, kept, monotonic() + _SECONDS)
        self._bytes += _weight(head_bytes, kept)
        while self._bytes > self._all_bytes:
            self._forget(next(iter(self._kept)))

    def _look(self) -> None:
        """Where something has changed, nothing that was kept stands."""
        version, policy = self._registry.database.version_now(), self._registry.policy
        if version != self.moment[0] or policy is not self.moment[1]:
            self.moment = (version, policy)
            self._kept.clear()
            self._bytes = 0

    def _forget(self, head_bytes: bytes) -> None:
        repeat = self._kept.pop(head_bytes, None)
        if repeat is not None:
            self._bytes -= _weight(head_bytes, repeat.answer)


def _is_plain(head: Head, length: int) -> bool:
    return length <= _HEAD_BYTES and len(head.headers) <= _FIELDS and "authorization" not in head.headers


def _without_descriptor(answer: Answer) -> Answer | None:
    """What is kept of an answer: a file is opened each time. None of one that is large, or verified as it is sent."""
    body = answer.body
    if not isinstance(body, FileSlice):
        return answer if len(body) <= _BODY_BYTES else None
    if body.file.content_hash is not None:
        return None
    return answer._replace(body=body._replace(file=body.file._replace(descriptor=-1)))


def _weight(head_bytes: bytes, answer: Answer) -> int:
    return _ENTRY_BYTES + len(head_bytes) + (0 if isinstance(answer.body, FileSlice) else len(answer.body))
