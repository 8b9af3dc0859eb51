from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import ContentHash, Digest
from registry.store.files import Files, UploadGone

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.prepare()
    return files


def test_an_upload_becomes_a_blob_of_its_digest(files: Files, tmp_path: Path) -> None:
    file = files.open_upload("u", 0)
    running = ContentHash("sha256")
    file.append(b"he", running)
    file.append(b"llo", running)
    file.keep_with_name()
    files.publish(file, running.digest())
    file.close()
    assert running.digest() == Digest.of(b"hello")
    assert (tmp_path / "blobs/sha256" / Digest.of(b"hello").hex).read_bytes() == b"hello"
    assert list((tmp_path / "uploads").iterdir()) == []
    descriptor = files.open_blob(Digest.of(b"hello"))
    assert os.pread(descriptor, 10, 1) == b"ello"
    os.close(descriptor)


def test_what_was_not_acknowledged_is_cut_off(files: Files, tmp_path: Path) -> None:
    (tmp_path / "uploads/u").write_bytes(b"acknowledged, and not")
    file = files.open_upload("u", 12)
    file.append(b"!", None)
    file.keep()
    file.append(b", and not", None)
    file.close()
    assert (tmp_path / "uploads/u").read_bytes() == b"acknowledged!"


def test_an_upload_whose_file_is_gone_is_gone_and_a_short_one_is_a_fault(files: Files, tmp_path: Path) -> None:
    with pytest.raises(UploadGone):
        files.open_upload("u", 12)
    (tmp_path / "uploads/u").write_bytes(b"short")
    with pytest.raises(OSError, match="shorter than the 12 bytes"):
        files.open_upload("u", 12)


def test_hashing_again_goes_on_in_portions(files: Files) -> None:
    content = os.urandom(3_000_000)
    file = files.open_upload("u", 0)
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
