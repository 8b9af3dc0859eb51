"""Mistakes in the order of writes and syncs, made on purpose, to show that the kinds of faults see them.

``python -m tests.faults.mistakes MISTAKE PYTHON -m MODULE ARGUMENTS`` runs the module with this mistake: it is patched
in, in that process alone.
"""

from __future__ import annotations

import os
import runpy
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from registry.store import garbage
from registry.store.files import Files
from registry.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry.store.jobs import Job
    from registry.store.upload_files import Publication


def file_is_not_synced() -> None:
    real = os.fsync
    os.fdatasync = lambda _: None
    os.fsync = lambda descriptor: real(descriptor) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else None


def directory_is_not_synced() -> None:
    real = os.fsync
    os.fsync = lambda descriptor: None if stat.S_ISDIR(os.fstat(descriptor).st_mode) else real(descriptor)


def row_comes_before_the_rename() -> None:
    publish, commit = Files.publish, Writer._commit
    waiting: list[Callable[[], None]] = []

    def commit_then_publish(self: Writer, group: list[Job[Any]]) -> list[Job[Any]]:
        tried = commit(self, group)
        while waiting:
            waiting.pop()()
        return tried

    def publish_later(self: Files, publications: Sequence[Publication]) -> None:
        waiting.append(partial(publish, self, publications))
        for publication in publications:
            publication.is_durable = True

    Files.publish = publish_later
    Writer._commit = commit_then_publish


def commit_is_not_synced() -> None:
    connect = Writer._connect

    def connect_and_relax(self: Writer) -> Any:
        connection = connect(self)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    Writer._connect = connect_and_relax


def unlink_comes_before_the_commit() -> None:
    init, remove = Files.__init__, garbage.remove_blob
    made: list[Files] = []

    def init_and_note(self: Files, *args: Any) -> None:
        init(self, *args)
        made.append(self)

    def unlink_and_remove(tx: Any, digest: Any, **kwargs: Any) -> Any:
        made[-1].remove_blob(digest)
        return remove(tx, digest, **kwargs)

    Files.__init__ = init_and_note
    garbage.remove_blob = unlink_and_remove


MISTAKES = (
    file_is_not_synced,
    directory_is_not_synced,
    row_comes_before_the_rename,
    commit_is_not_synced,
    unlink_comes_before_the_commit,
)


def command(mistake: Callable[[], None]) -> list[str]:
    """What stands before ``python -m MODULE`` so that it makes the mistake."""
    return [sys.executable, "-m", "tests.faults.mistakes", mistake.__name__]


if __name__ == "__main__":
    _, name, _, _, module, *arguments = sys.argv
    next(mistake for mistake in MISTAKES if mistake.__name__ == name)()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
