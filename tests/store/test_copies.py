"""Folders of blobs outside of the registry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from registry.oci.digests import Digest
from registry.store.copies import Copies, CopyDamaged, FolderBusy

CONTENT = b"layer"
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    copies = Copies(tmp_path / "copies")
    with copies.held():
        pass
    return copies


def test_a_link_is_the_same_file(source: Path, copies: Copies) -> None:
    copies.path_of(DIGEST).write_bytes(b"cut")
    assert copies.link(source, DIGEST)
    assert copies.path_of(DIGEST).samefile(source)


def test_another_file_system_gets_no_link(source: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == source.stat().st_dev:
            pytest.skip("/dev/shm is on the same file system")
        copies = Copies(Path(other))
        with copies.held():
            assert not copies.link(source, DIGEST)
        assert copies.size_of(DIGEST) is None


def test_a_copy_is_another_file_and_tells_how_far_it_is(source: Path, copies: Copies, tmp_path: Path) -> None:
    seen: list[int] = []
    copies.copy(source, DIGEST, seen.append, by_way=tmp_path / "new")
    assert copies.path_of(DIGEST).read_bytes() == CONTENT
    assert copies.path_of(DIGEST).stat().st_mode & 0o777 == 0o600
    assert not copies.path_of(DIGEST).samefile(source)
    assert sum(seen) == len(CONTENT)
    assert not (tmp_path / "new").exists()


def test_what_is_not_what_its_digest_says_does_not_come_over(source: Path, copies: Copies, tmp_path: Path) -> None:
    copies.copy(source, DIGEST, int, by_way=tmp_path / "new")
    source.write_bytes(b"rot__")
    with pytest.raises(CopyDamaged):
        copies.copy(source, DIGEST, int, by_way=tmp_path / "new")
    assert copies.path_of(DIGEST).read_bytes() == CONTENT
    assert not (tmp_path / "new").exists()


def test_other_files_in_the_folder_are_not_ours(copies: Copies, source: Path) -> None:
    copies.link(source, DIGEST)
    copies.path_of(DIGEST).with_name("README").touch()
    copies.path_of(DIGEST).with_name(f"{DIGEST.hex}.new").touch()
    assert list(copies.names()) == [(DIGEST, len(CONTENT))]
    assert list(Copies(source.with_name("none")).names()) == []


def test_one_command_at_a_time(copies: Copies, tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from registry.store.copies import Copies\n"
        "with Copies(Path(sys.argv[1])).held(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "copies")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(FolderBusy), copies.held():
            pass
    with copies.held():
        pass


def test_faults_in_words(copies: Copies, source: Path) -> None:
    assert copies.fault_of(DIGEST, 5) == "is not there"
    copies.link(source, DIGEST)
    assert copies.fault_of(DIGEST, 6) == "has 5 bytes instead of 6"
    assert copies.fault_of(DIGEST, 5, int) is None
    source.write_bytes(b"rot__")
    assert copies.fault_of(DIGEST, 5) is None
    assert copies.fault_of(DIGEST, 5, int) == "has other content than its digest says"
    copies.remove(DIGEST)
    os.mkdir(copies.path_of(DIGEST))
    size = copies.path_of(DIGEST).stat().st_size
    assert copies.fault_of(DIGEST, size, int) == "can't be read: Is a directory"
