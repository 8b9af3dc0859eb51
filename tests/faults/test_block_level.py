"""The kind can fail: a daemon that leaves out a sync is in a wrong state at some point of the disk's log."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults import block_level, mistakes
from tests.faults.block_load import Facts
from tests.faults.block_log import FLUSH, HEAD, WRITE, Disk, record_ends
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_devices = pytest.mark.skipif(block_level.why_not() is not None, reason=str(block_level.why_not()))

_UNIT = 4096


@needs_devices
@pytest.mark.parametrize("mistake", [None, mistakes.file_is_not_synced, mistakes.commit_is_not_synced])
def test_a_missing_sync_is_seen(mistake: Callable[[], None] | None, tmp_path: Path) -> None:
    def make_daemon(data: Path) -> Daemon:
        daemon = Daemon(data)
        daemon.prefix = [] if mistake is None else mistakes.command(mistake)
        return daemon

    facts = block_level.record(tmp_path, make_daemon, seed=1, acts=64)
    outcome = block_level.examine(facts, seed=1, states=40, starts=1)
    assert bool(outcome.lost) == (mistake is not None), outcome.lost
    assert outcome.dropped > 0


def write_log(log: Path, *records: tuple[int, bytes] | None) -> list[int]:
    """Writes (position, bytes) and flushes (None); where the log can be cut."""
    with log.open("wb") as file:
        for record in records:
            position, content = record or (0, b"")
            file.write(HEAD.pack(FLUSH if record is None else WRITE, position, len(content)) + content)
    return record_ends(log)


def test_what_was_flushed_is_there_and_the_rest_may_be(tmp_path: Path) -> None:
    first, second, third = (letter * _UNIT for letter in (b"a", b"b", b"c"))
    ends = write_log(tmp_path / "log", (0, first), None, (0, second), (_UNIT, third))
    disk = Disk(tmp_path / "log", 4 * _UNIT)
    disk.forward(ends[-1])
    contents = set()
    for seed in range(40):
        state = disk.write(tmp_path / "disk", Random(seed))
        contents.add((tmp_path / "disk").read_bytes())
        assert state.unflushed == 2
    nothing = bytes(_UNIT)
    assert {content[: 2 * _UNIT] for content in contents} == {
        first + nothing, second + nothing, first + third, second + third
    }  # fmt: skip


def test_a_write_over_several_units_may_be_there_in_part(tmp_path: Path) -> None:
    ends = write_log(tmp_path / "log", (_UNIT - 512, b"x" * (_UNIT + 1024)))
    disk = Disk(tmp_path / "log", 4 * _UNIT)
    disk.forward(ends[-1])
    assert disk.write(tmp_path / "disk", Random(0)).unflushed == 3


def test_what_is_allowed_after_a_cut(tmp_path: Path) -> None:
    facts, key = Facts(tmp_path / "log"), ("tag", "some/name", "latest")
    facts.log.write_bytes(b"x" * 10)
    facts.note(5, {key: "one"})
    facts.log.write_bytes(b"x" * 30)
    facts.note(20, {key: "two"})
    allowed = {cut: facts.allowed(key, cut) for cut in (4, 5, 10, 19, 20, 29, 30)}
    assert allowed == {
        4: [None], 5: [None, "one"], 10: ["one"], 19: ["one"], 20: ["one", "two"], 29: ["one", "two"], 30: ["two"]
    }  # fmt: skip
