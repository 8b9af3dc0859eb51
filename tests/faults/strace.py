"""strace(1): which system calls a daemon makes, and a SIGKILL at one of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
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

_CALL = re.compile(r"^(\d+) +(\w+)\(")


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
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)
    return None if probe.returncode == 0 else f"strace can't trace here: {probe.stderr.strip()[-200:]}"


@contextmanager
def killing(pid: int, point: Point) -> Iterator[None]:
    """The process will be killed at the point, unless it does not come so far within the context."""
    threads = ["-f"] if point.call in FILE_CALLS else []
    with _attached(pid, [*threads, "-o", os.devnull, *point.options]):
        yield


@contextmanager
def counting(pid: int, log: Path) -> Iterator[Counter[str]]:
    """When the context ends, the counter holds how often the busiest thread made each call."""
    counts: Counter[str] = Counter()
    names = ",".join(f"?{call}" for call in (*FILE_CALLS, *LOOP_CALLS))
    with _attached(pid, ["-f", "-o", str(log), "-s", "0", "-e", f"trace={names}"]):
        yield counts
    counts.update(count_calls(log, pid))


def count_calls(log: Path, main: int | None = None) -> Counter[str]:
    """How often the busiest thread made each call; of the calls of the loop, how often the main thread did."""
    by_thread: Counter[tuple[str, int]] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if (match := _CALL.match(line)) is not None:
            thread, call = int(match[1]), match[2]
            if thread == main or call in FILE_CALLS:
                by_thread[call, thread] += 1
    counts: Counter[str] = Counter()
    for (call, _), count in by_thread.items():
        counts[call] = max(counts[call], count)
    return counts


def starting(point: Point | None, paths: list[Path], log: Path) -> list[str]:
    """The command before a daemon's own: traces those calls that concern the paths."""
    command = ["strace", "-f", "-o", str(log), "-s", "0"]
    for path in paths:
        command += ["-P", str(path)]
    names = ",".join(f"?{call}" for call in FILE_CALLS)
    return command + (["-e", f"trace={names}"] if point is None else point.options)


@contextmanager
def _attached(pid: int, options: list[str]) -> Iterator[None]:
    """Trace for as long as the context lasts, from its very beginning."""
    tracer = subprocess.Popen(["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        line = tracer.stderr.readline()
        while line and "attached" not in line:
            line = tracer.stderr.readline()
        assert line, f"strace could not attach to {pid}"
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate()
