"""strace(1): attached to a daemon or around it, what it wrote down, and a SIGKILL at one of the calls."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_CALLS = (
    *("openat", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "ftruncate", "fallocate"),
    *("fdatasync", "fsync", "sync_file_range", "mkdir", "mkdirat", "rmdir"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
)
"""Calls that change files or make them durable. The daemon makes them in its threads."""

LOOP_CALLS = ("sendto", "sendmsg", "sendfile", "write", "writev")
"""Calls of the event loop by which answers and log lines go out."""

_LINE = re.compile(r"^(?P<thread>\d+) +(?:<\.\.\. \w+ resumed>|(?P<name>\w+)\()(?P<rest>.*)$")
_ENDED = re.compile(r"^(?P<arguments>.*)\) += (?P<result>-?\d+)(?P<more>.*)$")
_UNFINISHED = " <unfinished ...>"
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. ``start`` and ``end`` are lines of the log; without an end it has no result either."""

    thread: int
    name: str
    arguments: str
    start: int
    end: int | None = None
    result: int | None = None
    injected: bool = False

    @property
    def path(self) -> str:
        """What its descriptor stands for, where that is the first argument (``-y``)."""
        found = _DESCRIPTOR.match(self.arguments)
        return "" if found is None else found["path"]

    @property
    def strings(self) -> list[str]:
        return _STRING.findall(self.arguments)


def read(log: Path) -> list[Call]:
    """The calls in the order in which they began; other threads may cut one in two."""
    calls: list[Call] = []
    open_calls: dict[int, int] = {}
    for number, line in enumerate(log.read_text("utf-8", "replace").splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread = int(found["thread"])
        if found["name"] is not None:
            open_calls[thread] = len(calls)
            calls.append(Call(thread, found["name"], "", number))
        if thread in open_calls:
            index = open_calls[thread]
            calls[index] = _go_on(calls[index], found["rest"], number)
    return calls


def _go_on(call: Call, rest: str, number: int) -> Call:
    text = call.arguments + rest
    ended = _ENDED.match(text)
    if ended is None:
        return replace(call, arguments=text.removesuffix(_UNFINISHED))
    injected = "(INJECTED)" in ended["more"]
    return replace(call, arguments=ended["arguments"], end=number, result=int(ended["result"]), injected=injected)


@dataclass(frozen=True, slots=True)
class Point:
    """Before the ``number``-th time, counted from 1, that one thread makes this call."""

    call: str
    number: int

    @property
    def options(self) -> list[str]:
        """For strace. The signal comes before the call is carried out."""
        return ["-e", f"trace={self.call}", "-e", f"inject={self.call}:signal=SIGKILL:when={self.number}"]

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


def missing() -> str | None:
    """Why processes can't be traced here, None where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            with attached(child.pid, ["-o", os.devnull]):
                return None
        except AttachRefused as error:
            return f"strace can't attach to a process here: {error}"
        finally:
            child.kill()


class AttachRefused(Exception):
    """strace did not attach; the message is its own."""


@contextmanager
def killing(pid: int, point: Point) -> Iterator[None]:
    """The process will be killed at the point, unless it does not come so far within the context."""
    threads = ["-f"] if point.call in FILE_CALLS else []
    with attached(pid, [*threads, "-o", os.devnull, *point.options]):
        yield


@contextmanager
def counting(pid: int, log: Path) -> Iterator[Counter[str]]:
    """When the context ends, the counter holds how often the busiest thread made each call."""
    counts: Counter[str] = Counter()
    names = ",".join(f"?{call}" for call in (*FILE_CALLS, *LOOP_CALLS))
    with attached(pid, ["-f", "-o", str(log), "-s", "0", "-e", f"trace={names}"]):
        yield counts
    counts.update(count_calls(log, pid))


def count_calls(log: Path, main: int | None = None) -> Counter[str]:
    """How often the busiest thread made each call; of the calls of the loop, how often the main thread did."""
    by_thread: Counter[tuple[str, int]] = Counter()
    for call in read(log):
        if call.thread == main or call.name in FILE_CALLS:
            by_thread[call.name, call.thread] += 1
    counts: Counter[str] = Counter()
    for (name, _), count in by_thread.items():
        counts[name] = max(counts[name], count)
    return counts


def starting(point: Point | None, paths: list[Path], log: Path) -> list[str]:
    """The command before a daemon's own: traces those calls that concern the paths."""
    command = ["strace", "-f", "-o", str(log), "-s", "0"]
    for path in paths:
        command += ["-P", str(path)]
    names = ",".join(f"?{call}" for call in FILE_CALLS)
    return command + (["-e", f"trace={names}"] if point is None else point.options)


@contextmanager
def attached(pid: int, options: list[str]) -> Iterator[None]:
    """Trace for as long as the context lasts, from its very beginning. Raises AttachRefused."""
    tracer = subprocess.Popen(["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        said = line = tracer.stderr.readline()
        while line and "attached" not in line:
            line = tracer.stderr.readline()
            said += line
        if not line:
            raise AttachRefused(said.strip()[-200:])
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate()
