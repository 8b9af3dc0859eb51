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
        "import os, pathlib, sys; from registry.store import folder; "
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
