from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import ContentHash, Digest
from registry.store import folder
from registry.store.files import Files, UploadGone
from registry.store.space import StorageFull
from registry.store.upload_files import Publication

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.prepare()
    return files


def unlimited(_length: int) -> None:
    """There is room for whatever is written."""


def test_an_upload_becomes_a_blob_of_its_digest(files: Files, tmp_path: Path) -> None:
    file = files.new_upload("u", unlimited)
    running = ContentHash("sha256")
    file.append(b"he", running)
    file.append(b"llo", running)
    file.keep_with_name()
    publication = Publication(file, running.digest())
    files.publish([publication])
    assert (publication.is_durable, publication.error, file.is_open) == (True, None, False)
    assert running.digest() == Digest.of(b"hello")
    assert (tmp_path / "blobs/sha256" / Digest.of(b"hello").hex).read_bytes() == b"hello"
    assert list((tmp_path / "uploads").iterdir()) == []
    descriptor = files.open_blob(Digest.of(b"hello"))
    assert os.pread(descriptor, 10, 1) == b"ello"
    os.close(descriptor)


def publication(
    files: Files, content: bytes, algorithm: str = "sha256", require: Callable[[int], None] = unlimited
) -> Publication:
    """Of a file that is not written yet."""
    file, running = files.new_upload(f"{algorithm}-{content!r}", require), ContentHash(algorithm)
    file.hold(content, running)
    assert not file.is_open
    return Publication(file, running.digest())


def test_a_group_is_published_with_one_sync_of_each_folder(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which comes after all renames, and those after all syncs of files."""
    steps: list[str] = []

    def note(name: str) -> None:
        real = getattr(os, name)

        def noted(*args: int) -> object:
            steps.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, noted)

    for name in ("fdatasync", "rename", "fsync"):
        note(name)
    group = [publication(files, content) for content in (b"a", b"b", b"")] + [publication(files, b"a", "sha512")]
    files.publish(group)
    assert steps == ["fdatasync"] * 4 + ["rename"] * 4 + ["fsync"] * 2
    assert all(each.is_durable for each in group)
    assert [files.size_of_blob(each.digest) for each in group] == [1, 1, 0, 1]


def test_a_file_that_can_not_be_published_harms_no_other(files: Files, tmp_path: Path) -> None:
    bad, good = publication(files, b"bad"), publication(files, b"good")
    Path(bad.file.path).mkdir()
    files.publish([bad, good])
    assert (bad.is_durable, good.is_durable, good.error) == (False, True, None)
    assert isinstance(bad.error, IsADirectoryError)
    assert [path.name for path in (tmp_path / "blobs/sha256").iterdir()] == [good.digest.hex]


def test_what_is_held_needs_room_when_it_is_written(files: Files, tmp_path: Path) -> None:
    def refuse(length: int) -> None:
        raise StorageFull(f"no room for {length}")

    file, running = files.new_upload("u", refuse), ContentHash("sha256")
    file.hold(b"held", running)
    bad, good = Publication(file, running.digest()), publication(files, b"good")
    files.publish([bad, good])
    assert (bad.is_renamed, bad.is_durable, good.is_durable) == (False, False, True)
    assert isinstance(bad.error, StorageFull)
    assert [path.name for path in (tmp_path / "blobs/sha256").iterdir()] == [good.digest.hex]


def test_a_group_asks_once_for_all_that_it_holds(files: Files) -> None:
    asked: list[int] = []
    group = [publication(files, content, require=asked.append) for content in (b"a", b"bb", b"", b"ccc")]
    files.publish(group)
    assert asked == [6]
    assert all(each.is_durable for each in group)


def test_where_a_group_has_no_room_each_file_asks_for_itself(files: Files) -> None:
    asked: list[int] = []

    def require(length: int) -> None:
        asked.append(length)
        if length > 2:
            raise StorageFull(f"no room for {length}")

    group = [publication(files, content, require=require) for content in (b"a", b"ccc", b"bb")]
    files.publish(group)
    assert asked == [6, 1, 3, 2]
    assert [each.is_durable for each in group] == [True, False, True]
    assert isinstance(group[1].error, StorageFull)


def test_the_files_of_a_group_are_on_their_way_before_the_first_is_waited_for(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is alone is not."""
    steps: list[str] = []
    for name in ("posix_fadvise", "fdatasync"):
        monkeypatch.setattr(os, name, lambda *_, name=name: steps.append(name))
    files.publish([publication(files, content) for content in (b"a", b"b", b"c")])
    assert steps == ["posix_fadvise"] * 3 + ["fdatasync"] * 3
    steps.clear()
    files.publish([publication(files, b"d")])
    assert steps == ["fdatasync"]


def test_a_file_that_was_closed_is_not_begun_anew(files: Files) -> None:
    done = publication(files, b"done")
    files.publish([done])
    with pytest.raises(ValueError, match="closed"):
        done.file.append(b"more", None)


def test_nothing_is_durable_where_the_folder_can_not_be_synced(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of those who wait is told so by an error of its own."""

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "no", str(path))

    group = [publication(files, b"a"), publication(files, b"b"), publication(files, b"a", "sha512")]
    monkeypatch.setattr(folder, "sync", fail)
    files.publish(group)
    assert [each.is_durable for each in group] == [False] * 3
    assert len({id(each.error) for each in group}) == 3
    assert {each.error.errno for each in group if isinstance(each.error, OSError)} == {errno.EIO}
    for each in group:
        each.file.close()


def test_what_was_not_acknowledged_is_cut_off(files: Files, tmp_path: Path) -> None:
    (tmp_path / "uploads/u").write_bytes(b"acknowledged, and not")
    file = files.open_upload("u", 12, unlimited)
    file.append(b"!", None)
    file.keep()
    file.append(b", and not", None)
    file.close()
    assert (tmp_path / "uploads/u").read_bytes() == b"acknowledged!"


def test_an_upload_whose_file_is_gone_is_gone_and_a_short_one_is_a_fault(files: Files, tmp_path: Path) -> None:
    with pytest.raises(UploadGone):
        files.open_upload("u", 12, unlimited)
    (tmp_path / "uploads/u").write_bytes(b"short")
    with pytest.raises(OSError, match="shorter than the 12 bytes"):
        files.open_upload("u", 12, unlimited)


def test_hashing_again_goes_on_in_portions(files: Files) -> None:
    content = os.urandom(3_000_000)
    file = files.new_upload("u", unlimited)
    file.append(content, None)
    running = ContentHash("sha512")
    portions = 1
    while not file.hash_into(running, 1_000_000):
        portions += 1
    file.close()
    assert (portions, running.digest()) == (3, Digest.of(content, "sha512"))


def test_the_probe_leaves_nothing(files: Files, tmp_path: Path) -> None:
    files.probe()
    assert list((tmp_path / "uploads").iterdir()) == []
