"""Users in a file of the operator's, as Apache's ``htpasswd -B`` writes it: lines of NAME:BCRYPT.

At start a line that is wrong is an error. After that the file is the truth at each moment, and what it does not say
clearly counts for nobody: a line that is wrong is logged and skipped, a name that stands twice is nobody's, a file
that is gone or can't be read has no users. Nothing of an older content is ever kept. So a user whose line was taken
out is out at once, even if the rest of the file was spoilt by the same stroke; and while an editor writes in place,
only those whose lines are not there yet are refused, until the next look.
"""

from __future__ import annotations

import re
import stat
import time
from typing import TYPE_CHECKING, TypeAlias

import structlog

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger()

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""A salt has 128 bits, so that its last letter has two (the library refuses any other); cost 14 takes seconds."""

_EXPECTED = "expected NAME:HASH, the hash by bcrypt with a cost of 04 to 14 ($2y$10$...), as htpasswd -B writes it"

_SETTLED_NS = 2 * 10**9
"""A file that changed less than this ago may change again without its time telling: some keep times in 2 s."""

_Stamp: TypeAlias = tuple[int, ...]


class HtpasswdInvalid(Exception):
    """A file that can't be used; the message names it, the line, and what is expected."""


class Htpasswd:
    """The users of one file, for the event loop: its state is asked at each use, and it is read when it changed."""

    def __init__(self, path: Path) -> None:
        """Raises HtpasswdInvalid."""
        self._path = path
        self._hashes: dict[str, str] = {}
        self._sorted: list[str] = []
        self._stamp, self._content = _read(path)
        problems = self._take(self._content)
        if problems:
            raise HtpasswdInvalid(f"{path}: {problems[0]}")

    def find(self, name: str) -> str | None:
        """The bcrypt hash that the file has for the name now; None where it has none."""
        self._look()
        return self._hashes.get(name)

    def pick(self, fraction: float) -> str | None:
        """The hash of some user, for a fraction of [0, 1); None where there is no user.

        They are in the order of kind and cost, so that users who come and go seldom change which of these is met.
        """
        self._look()
        return self._sorted[int(fraction * len(self._sorted))] if self._sorted else None

    def __len__(self) -> int:
        """How many users there are."""
        self._look()
        return len(self._hashes)

    def _look(self) -> None:
        if self._stamp is not None and self._stamp == _stamp_of(self._path):
            return
        self._stamp, content = _read(self._path)
        if content == self._content:
            return
        self._content = content
        problems = self._take(content)
        log.info("htpasswd was read again", path=str(self._path), users=len(self._hashes))
        if problems:
            log.error("htpasswd is wrong", path=str(self._path), problems=problems[:10], of=len(problems))

    def _take(self, content: bytes | str) -> Sequence[str]:
        """Let the content count, as far as it is right; what is wrong."""
        self._hashes, problems = ({}, [content]) if isinstance(content, str) else parse(content)
        self._sorted = sorted(self._hashes.values())
        return problems


def parse(content: bytes) -> tuple[dict[str, str], list[str]]:
    """The hash of each name that stands once on a line that is right, and what is wrong with other lines.

    Empty lines and those that begin with ``#`` say nothing. No problem quotes a hash.
    """
    hashes: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems = []
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.decode("utf-8", "replace").strip()
        if not text or text.startswith("#"):
            continue
        name, _, stored = text.partition(":")
        if not _is_name(name) or not _BCRYPT.fullmatch(stored):
            problems.append(f"line {number}: {_EXPECTED}")
        elif name in lines:
            problems.append(f"line {number}: {name!r} stands on line {lines[name]} too; expected each name once")
            hashes.pop(name, None)
        else:
            lines[name] = number
            hashes[name] = stored
    return hashes, problems


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable() and name == name.strip() and "\ufffd" not in name


def _stamp_of(path: Path) -> _Stamp | None:
    """What tells one state of the file from another; None where there is no file."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(status: os.stat_result) -> _Stamp:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path) -> tuple[_Stamp | None, bytes | str]:
    """The file's bytes, or text: why there are none; and its stamp from before that, None where it is to be read again.

    A change while it is read shows in the stamp of the next look; one within the clock's grain would not, so that a
    stamp counts only once it is old enough.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None, "expected a file"
        content = path.read_bytes()
    except OSError as error:
        return None, f"can't be read: {error.strerror}"
    is_settled = abs(time.time_ns() - status.st_ctime_ns) > _SETTLED_NS
    return _stamp(status) if is_settled else None, content
