"""System calls of a running daemon, watched and made to fail: strace, attached for as long as one act takes."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults import strace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.daemon import Daemon

CALLS = (
    *("fallocate", "ftruncate", "truncate", "link", "linkat", "mkdir", "mkdirat", "open", "openat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat"),
    *("fdatasync", "fsync", "sync_file_range", "pwrite64", "pwritev", "write", "writev"),
)
"""What can fail for want of space, of descriptors, or of a disk that works."""

_PATHS = re.compile(r'^\d+<(?P<descriptor>/[^>]*)>|^(?:AT_FDCWD<[^>]*>, |\d+<[^>]*>, )?"(?P<name>/[^"]*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. ``number`` tells it from those of the same name that its thread made before, from 1 on."""

    thread: int
    name: str
    number: int
    path: str
    injected: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """The call of this name and number fails with this error, in whichever thread; ``lasting``: and all after it."""

    call: str
    number: int
    error: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.error} at {self.call} number {self.number}{' and all after it' if self.lasting else ''}"


@dataclass
class Trace:
    """What happened while strace was attached; complete when the context has ended."""

    calls: list[Call] = field(default_factory=list)

    @property
    def injected(self) -> list[Call]:
        return [call for call in self.calls if call.injected]

    def inside(self, folder: Path) -> list[Call]:
        """The calls on what lies in the folder."""
        return [call for call in self.calls if call.path.startswith(f"{folder}/")]


@contextmanager
def watching(pid: int, log: Path, fault: Fault | None = None) -> Iterator[Trace]:
    """Attach to every thread of the process, those to come too."""
    options = ["-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={','.join(f'?{call}' for call in CALLS)}"]
    options += ["-e", "signal=none"]
    if fault is not None:
        when = f"{fault.number}{'+' if fault.lasting else ''}"
        options += ["-e", f"inject={fault.call}:error={fault.error}:when={when}"]
    trace = Trace()
    with strace.attached(pid, options):
        yield trace
    trace.calls = _numbered(strace.read(log))


def _numbered(calls: list[strace.Call]) -> list[Call]:
    numbers: Counter[tuple[int, str]] = Counter()
    numbered = []
    for call in calls:
        numbers[call.thread, call.name] += 1
        found = _PATHS.match(call.arguments)
        path = (found["descriptor"] or found["name"]) if found else ""
        numbered.append(Call(call.thread, call.name, numbers[call.thread, call.name], path, call.injected))
    return numbered


def kill(daemon: Daemon) -> None:
    """SIGKILL; a line that the log breaks off in is ended, so that those of the next daemon can be read."""
    daemon.kill()
    with daemon.log.open("ab") as log:
        log.write(b"\n")


def with_mistake(folder: Path, source: str) -> dict[str, str]:
    """Settings of a daemon in which this Python source runs before anything else: how a mistake is seeded."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": str(folder)}
