"""Daemons with a mistake in them, to see that a kind of fault finds it. Each is a command before the daemon's own."""

from __future__ import annotations

import sys

_SERVE = """
import sys
from registry.cli import main
sys.argv = ["cargohold", *sys.argv[4:]]
main()
"""

_ROW_FIRST = """
from registry.store.files import Files
from registry.store.writer import Writer

publish, commit, waiting = Files.publish, Writer._commit, []

def commit_first(self, group):
    tried = commit(self, group)
    while waiting:
        publish(*waiting.pop())
    return tried

def publish_later(files, publications):
    waiting.append((files, publications))
    for publication in publications:
        publication.is_durable = True

Files.publish = publish_later
Writer._commit = commit_first
"""

_ANSWER_FIRST = """
import time
import trio
from registry.store.writer import Writer

run, run_jobs = Writer.run, Writer._run_jobs

async def run_and_note(self):
    self.token = trio.lowlevel.current_trio_token()
    await run(self)

def answer_first(self, group, tried):
    run_jobs(self, group, tried)
    trio.from_thread.run_sync(lambda: [job.end() for job in tried], trio_token=self.token)
    time.sleep(0.1)

Writer.run = run_and_note
Writer._run_jobs = answer_first
"""

_FILE_GONE_FIRST = """
from registry.service.garbage import Garbage

remove = Garbage._remove

async def file_first(self, digests, age_ms):
    for digest in digests:
        self._registry.files.remove_blob(digest)
    return await remove(self, digests, age_ms)

Garbage._remove = file_first
"""


def _command(mistake: str) -> list[str]:
    return [sys.executable, "-c", mistake + _SERVE]


ROW_BEFORE_FILE = _command(_ROW_FIRST)
"""A blob's row is committed before its file has its name."""

ANSWER_BEFORE_COMMIT = _command(_ANSWER_FIRST)
"""The answer goes out while the COMMIT is still to come."""

FILE_GONE_BEFORE_ROW = _command(_FILE_GONE_FIRST)
"""Garbage collection removes the files of blobs before their rows."""
