"""System calls of a running daemon, watched and made to fail: strace, attached for as long as one act takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.daemon import Daemon

CALLS = (
    *("fallocate", "ftruncate", "truncate", "link", "linkat", "mkdir", "mkdirat", "open", "openat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat"),
    *("fdatasync", "fsync", "sync_file_range", "pwrite64", "pwritev", "write", "writev"),
)
"""What can fail for want of space, of descriptors, or of a disk that works."""

_BEGUN = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
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


def why_not() -> str | None:
    """Why nothing can be injected on this machine; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    child = subprocess.Popen(["sleep", "60"])
    try:
        with watching(child.pid, Path(os.devnull)):
            pass
    except AttachRefused as error:
        return f"strace can't attach to a process here: {error}"
    finally:
        child.kill()
        child.wait()
    return None


class AttachRefused(Exception):
    """strace did not attach; the message is its own."""


@contextmanager
def watching(pid: int, log: Path, fault: Fault | None = None) -> Iterator[Trace]:
    """Attach to every thread of the process, those to come too. Raises AttachRefused."""
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "0",
        "-o",
        str(log),
        "-e",
        f"trace={','.join(f'?{call}' for call in CALLS)}",
        "-e",
        "signal=none",
    ]
    if fault is not None:
        when = f"{fault.number}{'+' if fault.lasting else ''}"
        command += ["-e", f"inject={fault.call}:error={fault.error}:when={when}"]
    strace = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    trace = Trace()
    with strace.stderr:
        first = strace.stderr.readline()
        if "attached" not in first:
            strace.kill()
            strace.wait()
            raise AttachRefused(first.strip())
        try:
            yield trace
        finally:
            strace.terminate()
            strace.wait()
    trace.calls = parse(log.read_text("utf-8", "surrogateescape"))


def parse(text: str) -> list[Call]:
    """The calls of a log of strace, in the order in which they began."""
    calls: list[Call] = []
    numbers: Counter[tuple[int, str]] = Counter()
    for line in text.splitlines():
        if resumed := _RESUMED.match(line):
            _mark(calls, int(resumed["thread"]), resumed["name"], line)
        elif begun := _BEGUN.match(line):
            thread, name = int(begun["thread"]), begun["name"]
            numbers[thread, name] += 1
            found = _PATHS.match(begun["arguments"])
            path = (found["descriptor"] or found["name"]) if found else ""
            calls.append(Call(thread, name, numbers[thread, name], path, "(INJECTED)" in line))
    return calls


def _mark(calls: list[Call], thread: int, name: str, line: str) -> None:
    """The call that this line ends was cut in two by another thread's; its error stands in this half."""
    for index in range(len(calls) - 1, -1, -1):
        call = calls[index]
        if (call.thread, call.name) == (thread, name):
            if "(INJECTED)" in line:
                calls[index] = Call(thread, name, call.number, call.path, injected=True)
            return


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
