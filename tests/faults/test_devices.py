"""What is mounted goes away, on an error too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import devices

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(devices.missing("mkfs.ext4") is not None, reason=str(devices.missing("mkfs.ext4")))

_SIZE_BYTES = 16 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    devices.make_file_system(tmp_path / "disk", "ext4", _SIZE_BYTES)
    return tmp_path / "disk"


def test_a_mount_and_its_loop_device_go_with_an_error(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), devices.mounted(disk, tmp_path / "point", "ext4") as point:
        (point / "missing").unlink()
    assert not (tmp_path / "point").is_mount()
    assert str(disk) not in devices.run("losetup", "--list", "--noheadings")


def test_each_mount_has_a_loop_device_of_its_own(disk: Path, tmp_path: Path) -> None:
    device = devices.run("losetup", "--find", "--show", str(disk)).strip()
    try:
        with devices.mounted(disk, tmp_path / "point", "ext4", direct_io=True):
            listed = devices.run(
                "losetup", "--list", "--noheadings", "--output", "DIO,AUTOCLEAR", "--associated", str(disk)
            )
            assert sorted(line.split() for line in listed.splitlines()) == [["0", "0"], ["1", "1"]]
    finally:
        devices.run("losetup", "--detach", device)


def test_a_mount_that_is_in_use_goes_out_of_sight(disk: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(devices.CommandFailed, match="busy"),
        devices.mounted(disk, tmp_path / "point", "ext4") as point,
    ):
        used = (point / "file").open("w")
    assert not point.is_mount()
    used.close()


def test_what_was_not_synced_is_lost_when_the_disk_is_cut_off(disk: Path, tmp_path: Path) -> None:
    with devices.mounted(disk, tmp_path / "point", "ext4") as point:
        (point / "file").write_text("never synced")
        devices.cut_off(point)
    with devices.mounted(disk, tmp_path / "point", "ext4") as point:
        assert list(point.glob("file")) == []


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    assert devices.missing("mkfs.of-nothing") == "mkfs.of-nothing is not installed (package mkfs.of-nothing)"
