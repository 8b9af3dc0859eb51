"""SIGKILL at each system call by which ``cargohold restore`` changes files; then the daemon starts, or it is run again.

The database that is replaced was left by a SIGKILL, so that its newest tag stands in its -wal alone, and a blob that
the backup has is gone from the data folder. Whatever the moment: the data folder is the old one or the new one, whole;
the command, run again, makes the new one of it; and the database before is kept with its -wal.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from tests.faults import strace
from tests.faults.kill import points_of, spread
from tests.faults.report import Report
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.strace import Point

_SHORT_SECONDS = 18
"""When the short form takes no further point."""

_CALLS = (
    *("write", "pwrite64", "ftruncate", "fchmod", "chmod", "utimensat", "fsync", "fdatasync", "mkdir"),
    *("rename", "renameat", "link", "linkat", "unlink", "unlinkat"),
)
"""By which the command changes files, but for openat: a file without its first byte is what the call after it finds."""

_SETTINGS = {"CARGOHOLD_GC__HORIZON": "0.001s", "CARGOHOLD_BACKUP__INTERVAL": "1d"}
"""Of the daemon that starts on what is left: it would sweep at once what its database does not know."""

_NAME = "team/app"
_LAYERS = {"old": b"layer of the backup", "new": b"layer of later on"}


def run(folder: Path, *, full: bool) -> Report:
    """Kill at points of the command (``full``: at every one, both ways)."""
    if (reason := strace.missing()) is not None:
        return Report("kill_restore", skipped=reason)
    end = time.monotonic() + _SHORT_SECONDS
    kills = Kills(folder)
    points = points_of(kills.counts())
    kills.report.figures["points"] = len(points)
    for number, point in enumerate(points if full else spread(points)):
        for is_repeated in (False, True) if full else (number % 2 == 1,):
            kills.kill(point, is_repeated=is_repeated)
        if not full and time.monotonic() > end:
            break
    return kills.report


class Kills:
    """``prefix`` is put in front of the command's module, for mistakes that a test seeds."""

    def __init__(self, folder: Path, program: tuple[str, ...] = ("-m", "registry")) -> None:
        self.report = Report("kill_restore")
        self._folder = folder
        self._program = program
        self._template = folder / "template"
        self._data = folder / "data"
        self._make_template()

    def counts(self) -> dict[str, int]:
        """How often the command makes each call."""
        log = self._folder / "calls"
        names = ",".join(f"?{call}" for call in _CALLS)
        assert self._restore(["strace", "-o", str(log), "-s", "0", "-e", f"trace={names}"]) == 0
        counts: dict[str, int] = {}
        for line in log.read_text().splitlines():
            name = line.partition("(")[0]
            if name in _CALLS:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def kill(self, point: Point, *, is_repeated: bool) -> bool:
        """Whether the point was reached."""
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.copytree(self._template, self._data)
        reached = self._restore(["strace", "-o", os.devnull, *point.options]) == -signal.SIGKILL
        self.report.states += reached
        if is_repeated and (status := self._restore([])) != 0:
            self.report.lost.append(f"{point}: the command, run again, ends with {status}")
        after = f"{point}, {'run again' if is_repeated else 'started'}"
        self.report.lost += [f"{after}: {sentence}" for sentence in self._verify(is_new=is_repeated or not reached)]
        return reached

    def _make_template(self) -> None:
        with running(self._template, {"CARGOHOLD_BACKUP__INTERVAL": "1d"}) as daemon:
            self._push(daemon, "old")
            vault = [
                "backup",
                "create",
                str(self._folder / "vault.db.zst"),
                "--with-blobs",
                str(self._folder / "vault"),
            ]
            assert self._run([], *vault, "--data", str(self._template)) == 0
            self._push(daemon, "new")
            daemon.kill()
        (self._template / "admin.sock").unlink()
        # By name alone: the one in the folder of the backup is the same file.
        self._path(self._template, _LAYERS["old"]).unlink()

    @staticmethod
    def _push(daemon: Daemon, tag: str) -> None:
        for content in (CONFIG, _LAYERS[tag]):
            target = f"/v2/{_NAME}/blobs/uploads/?digest={digest_of(content)}"
            assert daemon.request("POST", target, content)[0] == 201
        body = image(_LAYERS[tag])
        headers = {"Content-Type": json.loads(body)["mediaType"]}
        assert daemon.request("PUT", f"/v2/{_NAME}/manifests/{tag}", body, headers)[0] == 201

    @staticmethod
    def _path(data: Path, content: bytes) -> Path:
        return data / "blobs" / digest_of(content).replace(":", "/")

    def _restore(self, prefix: list[str]) -> int:
        blobs = ["--with-blobs", str(self._folder / "vault")]
        if not self._data.exists():
            shutil.copytree(self._template, self._data)
        return self._run(prefix, "restore", str(self._folder / "vault.db.zst"), *blobs, "--data", str(self._data))

    def _run(self, prefix: list[str], *arguments: str) -> int:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self._folder)}
        command = [*prefix, sys.executable, *self._program, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    def _verify(self, *, is_new: bool) -> Iterator[str]:
        with running(self._data, _SETTINGS) as daemon:
            tags = json.loads(daemon.request("GET", f"/v2/{_NAME}/tags/list")[2]).get("tags")
            if tags not in (["old"], ["new", "old"]):
                yield f"the tags are {tags}"
                return
            if is_new and tags != ["old"]:
                yield "the backup is not what is served"
            self._run([], "gc", "run", "--data", str(self._data))  # refused where the restoration is recognised
            for tag in tags:
                yield from self._verify_image(daemon, tag, is_whole=tag == "new" or tags == ["old"])
        if tags == ["old"]:
            yield from self._verify_before()
        yield from (f"{path.name} is left" for path in self._leftovers(is_old=tags != ["old"]))

    @staticmethod
    def _verify_image(daemon: Daemon, tag: str, *, is_whole: bool) -> Iterator[str]:
        if daemon.request("GET", f"/v2/{_NAME}/manifests/{tag}")[2] != image(_LAYERS[tag]):
            yield f"the manifest of {tag} is not there"
        for content in (CONFIG, _LAYERS[tag]) if is_whole else (CONFIG,):
            if daemon.request("GET", f"/v2/{_NAME}/blobs/{digest_of(content)}")[2] != content:
                yield f"the blob {content!r} is not there"

    def _verify_before(self) -> Iterator[str]:
        """What was there before has its newest tag, and the file of its blob."""
        if not self._path(self._data, _LAYERS["new"]).exists():
            yield "the blob of the database before was swept"
        kept = [path for path in self._data.glob("registry.db.before-*") if not path.name.endswith(("-wal", "-shm"))]
        found = []
        for path in kept:
            with closing(sqlite3.connect(path)) as connection:
                found.append([name for (name,) in connection.execute("SELECT name FROM tag ORDER BY name")])
        if ["new", "old"] not in found:
            yield f"of the database before there is {dict(zip(kept, found, strict=True))}"

    def _leftovers(self, *, is_old: bool) -> Iterator[Path]:
        yield from self._data.glob("registry.db*.new")
        yield from self._data.glob("registry.db-wal.stale*")
        if is_old:
            yield from self._data.glob("registry.db.before-*")
