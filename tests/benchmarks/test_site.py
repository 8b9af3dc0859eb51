"""Where it is measured is said, and left as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import site
from tests.faults import devices


def test_the_machine_is_described() -> None:
    machine = site.machine()
    assert machine["kernel"] == os.uname().release
    assert all(machine.values())


def test_the_cores_are_two_if_there_are_two() -> None:
    registry, client = site.cores()
    assert {registry, client} <= os.sched_getaffinity(0)
    assert registry != client or len(os.sched_getaffinity(0)) == 1


def test_a_folder_that_is_given_is_used_and_left_empty(tmp_path: Path) -> None:
    with site.data_folder(tmp_path, 1) as (folder, file_system):
        assert folder.parent == tmp_path
        assert file_system == site.file_system(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [True, False])
def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, *, given: bool) -> None:
    message = r"^1048576\.0 GiB are needed, and [0-9.]+ GiB may be used in .*: see --data$"
    with pytest.raises(site.TooSmall, match=message), site.data_folder(tmp_path if given else None, 2**50):
        raise AssertionError("it was made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(devices.missing("mkfs.ext4") is not None, reason=str(devices.missing("mkfs.ext4")))
def test_without_one_a_file_system_with_a_journal_is_made() -> None:
    with site.data_folder(None, 1) as (folder, file_system):
        assert folder.is_mount()
        assert file_system.startswith("ext4 (rw")
        assert " in a file, by direct I/O, on " in file_system
    assert not folder.exists()


def test_the_file_system_is_the_innermost_mount() -> None:
    assert site.file_system(Path("/proc/self")).startswith("proc ")
