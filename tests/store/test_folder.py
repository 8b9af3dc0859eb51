from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from registry.store import folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_holder_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with (
        folder.hold(tmp_path, allow_network=False),
        pytest.raises(folder.FolderUnusable, match=rf"pid {os.getpid()}"),
        folder.hold(tmp_path, allow_network=False),
    ):
        pass


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import codecs, os, pathlib, sys; from registry.store import folder; "
        "held = folder.hold(pathlib.Path(sys.argv[1]), allow_network=False); held.__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path], check=False).returncode == 9
    with folder.hold(tmp_path, allow_network=False):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv rw - nfs4 server:/export rw
31 30 254:1 / /srv/local rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040space rw master:3 - cifs //server/share rw
33 22 254:2 / /over rw - ext4 /dev/vdc rw
34 33 0:42 / /over rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/cargohold", "ext4"),
        ("/srv/data", "nfs4"),
        ("/srvdata", "ext4"),
        ("/srv/local/data", "xfs"),
        ("/mnt/with space/data", "cifs"),
        ("/over/data", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_last_mount_tells_the_type(path: str, expected: str) -> None:
    assert folder._deepest_mount(MOUNTS.splitlines(), path) == expected


def test_a_network_file_system_is_refused_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "file_system_type", lambda _path: "nfs4")
    with (
        pytest.raises(folder.FolderUnusable, match=r"storage\.allow_network = true"),
        folder.hold(tmp_path, allow_network=False),
    ):
        pass
    with folder.hold(tmp_path, allow_network=True):
        pass


def test_this_machines_own_type_is_found(tmp_path: Path) -> None:
    assert folder.file_system_type(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("foreign", [".", "registry.db", "uploads", "blobs/sha256"])
def test_a_folder_that_another_user_left_is_refused_with_what_to_do(tmp_path: Path, foreign: str) -> None:
    for name in ("uploads", "blobs/sha256"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/registry.db").touch()
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        os.chown(path, 65534, 65534)
    os.chown(tmp_path / "data" / foreign, 0, 0)
    for folder_above in (tmp_path, *tmp_path.parents):
        folder_above.chmod(folder_above.stat().st_mode | 0o011)
    script = (
        "import codecs, os, pathlib, sys; from registry.store import folder; "
        "codecs.lookup('unicode_escape'); os.setuid(65534); "  # that user may not be able to read the codec's file
        "folder.hold(pathlib.Path(sys.argv[1]), allow_network=False).__enter__()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "data"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("registry.store.folder.FolderUnusable: ")
    assert str(tmp_path / "data" / foreign) in message
    assert "nobody" in message


def test_the_database_is_its_owners_alone_in_a_folder_that_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "registry.db").touch(mode=0o644)
    with folder.hold(data, allow_network=False):
        pass
    assert (data / "registry.db").stat().st_mode & 0o777 == 0o600
