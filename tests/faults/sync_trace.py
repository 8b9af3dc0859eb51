"""The system calls of a daemon, as strace writes them down, and its answers among them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import strace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from tests.faults.strace import Call

OPENS = frozenset({"openat"})
WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate"})
SYNCS = frozenset({"fsync", "fdatasync"})
RENAMES = frozenset({"rename", "renameat", "renameat2"})
UNLINKS = frozenset({"unlink", "unlinkat"})
_SENDS = frozenset({"sendto", "sendmsg", "write", "writev"})
_RECEIVES = frozenset({"recvfrom", "recvmsg", "read"})
_TRACED = sorted({*OPENS, *WRITES, *SYNCS, *RENAMES, *UNLINKS, *_SENDS, *_RECEIVES})

_REQUEST = re.compile(r"^(?:GET|HEAD|POST|PUT|PATCH|DELETE) /")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the trace, up to the line ``end``."""

    calls: tuple[Call, ...]
    end: int

    def of(self, names: AbstractSet[str]) -> list[Call]:
        """The calls of these names that succeeded."""
        return [call for call in self.calls if call.name in names and call.result >= 0]

    def writes(self, path: str, until: int | None = None) -> list[Call]:
        """Writes to a file that had begun by then."""
        end = self.end if until is None else until
        return [call for call in self.of(WRITES) if call.path == path and call.start < end]

    def synced(self, path: str, since: int, until: int | None = None) -> int | None:
        """The end of the first sync of a file or folder that began after ``since`` and ended in time."""
        end = self.end if until is None else until
        syncs = (call for call in self.of(SYNCS) if call.path == path and since < call.start and call.end < end)
        return next((call.end for call in syncs), None)

    def keeps(self, path: str, until: int | None = None) -> bool:
        """Whether all that was written to a file was synced in time."""
        writes = self.writes(path, until)
        return not writes or self.synced(path, writes[-1].end, until) is not None


@dataclass(frozen=True, slots=True)
class Exchange(Part):
    """What was called between the moment when a request had come and the one when its answer began to be sent."""

    request: str
    status: int


def command(trace: Path) -> list[str]:
    """What stands before a command so that it is traced; the process stays that of the command (``-D``)."""
    options = ["-D", "-f", "-y", "-s", "100", "-o", str(trace), "-e", f"trace={','.join(_TRACED)}"]
    return ["strace", "--seccomp-bpf", *options]


def read(trace: Path) -> list[Call]:
    """The calls that returned, in the order of their ends."""
    return sorted((call for call in strace.read(trace) if call.end is not None), key=lambda call: call.end)


def exchanges(calls: Sequence[Call]) -> Iterator[Exchange]:
    """Requests and their answers, in order; the client sends one after the other."""
    began: tuple[int, str] | None = None
    for call in calls:
        said = call.strings[0] if call.path.startswith("socket:") and call.strings else ""
        if call.name in _RECEIVES and _REQUEST.match(said):
            began = call.end, said.partition(" HTTP/")[0]
        elif call.name in _SENDS and said.startswith("HTTP/1.1 ") and began is not None:
            start, request = began
            between = tuple(each for each in calls if each.end > start and each.start < call.start)
            yield Exchange(between, call.start, request, int(said.split(" ")[1]))
            began = None
