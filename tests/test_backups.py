"""The commands for backups, with the daemon running and without, and what comes back of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.test_upkeep import LAYER, NAME, blob, push_image
from tests.tools.content import CONFIG, digest_of
from tests.tools.daemon import Daemon, running
from tests.tools.life import flip

if TYPE_CHECKING:
    from collections.abc import Iterator


def cargohold(*arguments: str | Path, status: int = 0) -> str:
    """What a command says on both outputs, its log left out."""
    done = CliRunner().invoke(main, [str(each) for each in arguments], env={"CARGOHOLD_LOG__FORMAT": "json"})
    assert done.exit_code == status, done.output
    return "".join(line for line in done.output.splitlines(keepends=True) if not line.startswith('{"'))


def document(*arguments: str | Path) -> Any:
    return json.loads(CliRunner().invoke(main, [*map(str, arguments), "--json"]).stdout)


@pytest.fixture(params=[True, False], ids=["running", "none"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """It has the image ``1``; it runs, or does not any more."""
    with running(tmp_path / "data") as daemon:
        push_image(daemon, "1", LAYER)
        if not request.param:
            daemon.stop()
        yield daemon


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    vault = tmp_path / "vault"
    vault.mkdir()
    return vault


def create(daemon: Daemon, *arguments: str | Path, status: int = 0) -> str:
    return cargohold("backup", "create", *arguments, "--data", daemon.data, status=status)


def restore(daemon: Daemon, *arguments: str | Path, status: int = 0) -> str:
    return cargohold("restore", *arguments, "--data", daemon.data, status=status)


@pytest.mark.parametrize("name", ["b.db", "b.db.zst"])
def test_a_backup_is_as_of_now_and_comes_back_in_an_empty_folder(daemon: Daemon, vault: Path, name: str) -> None:
    said = create(daemon, vault / name, "--with-blobs", vault / "blobs")
    assert f"{vault / name} holds the registry as of 20" in said
    assert "repositories: 1; manifests: 1; tags: 1; blobs: 2, 7 bytes" in said
    assert os.listdir(vault) == ["blobs", name] or os.listdir(vault) == [name, "blobs"]
    assert cargohold("backup", "verify", vault / name, "--with-blobs", vault / "blobs", "--full").endswith(
        "all is well, as far as was looked\n"
    )
    other = Daemon(daemon.data.with_name("other"))
    foreseen = restore(other, vault / name, "--with-blobs", vault / "blobs", "--dry-run")
    assert "blobs there: 0; would be copied: 2, 7 bytes; missing: 0\nnothing was changed\n" in foreseen
    assert not other.data.exists()
    assert "copied: 2, 7 bytes; missing: 0" in restore(other, vault / name, "--with-blobs", vault / "blobs")
    with running(other.data) as restored:
        assert restored.request("GET", f"/v2/{NAME}/manifests/1")[0] == 200
        assert restored.request("GET", f"/v2/{NAME}/blobs/{digest_of(LAYER)}")[2] == LAYER
        assert "nothing is swept" in restored.request("GET", "/ready?verbose")[2].decode()
        assert "garbage collection goes on" in cargohold("recover", "--data", other.data)


def test_a_file_that_is_there_is_not_replaced(daemon: Daemon, vault: Path) -> None:
    path = vault / "b.db"
    path.write_bytes(b"precious")
    assert "is there already" in create(daemon, path, status=2)
    assert path.read_bytes() == b"precious"
    create(daemon, path, "--force")
    assert "all is well" in cargohold("backup", "verify", path)
    assert os.listdir(vault) == ["b.db"]


def test_the_data_folder_is_no_place_for_backups(daemon: Daemon, vault: Path) -> None:
    for arguments in ([daemon.data / "b.db"], [vault, "--with-blobs", daemon.data / "blobs"]):
        assert "would be lost with it" in create(daemon, *arguments, status=2)
    assert os.listdir(vault) == []


def test_links_are_said_to_be_links(daemon: Daemon, vault: Path) -> None:
    said = create(daemon, vault, "--with-blobs", vault / "blobs")
    assert "blobs linked: 2; copied: 0, 0 bytes; there already: 0" in said
    assert "is the same file as the registry's" in said
    again = create(daemon, vault, "--with-blobs", vault / "blobs")
    assert "blobs linked: 0; copied: 0, 0 bytes; there already: 2" in again
    assert "is the same file" not in again


def test_on_another_disk_are_copies(daemon: Daemon) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == daemon.data.stat().st_dev:
            pytest.skip("/dev/shm is on the same file system")
        flip(blob(daemon.data, LAYER))
        said = create(daemon, other, "--with-blobs", f"{other}/blobs", status=1)
        assert f"blobs linked: 0; copied: 1, {len(CONFIG)} bytes; there already: 0" in said
        assert f"{digest_of(LAYER)} has other content than its digest says; it is not in the backup" in said
        flip(blob(daemon.data, LAYER))
        assert "copied: 1, 5 bytes; there already: 1" in create(daemon, other, "--with-blobs", f"{other}/blobs")


def test_a_folder_of_backups(daemon: Daemon, vault: Path) -> None:
    """Listed, verified and pruned; what is needed by a snapshot that stays is there to the end."""
    blobs = vault / "blobs"
    create(daemon, vault, "--with-blobs", blobs)
    daemon.start() if daemon.process.poll() is not None else None
    assert daemon.request("DELETE", f"/v2/{NAME}/manifests/{digest_of(push_image(daemon, '2', b'newer'))}")[0] == 202
    create(daemon, vault, "--with-blobs", blobs)
    (vault / "notes.txt").write_text("not ours")
    newer, older = document("backup", "list", vault)
    assert newer["taken_ns"] > older["taken_ns"]
    assert [each["summary"]["manifests"] for each in (newer, older)] == [1, 1]
    assert older["summary"]["start_id"][:12] in cargohold("backup", "list", vault)
    (blobs / "sha256" / digest_of(b"stray")[7:]).write_bytes(b"stray")
    arguments = ("backup", "prune", vault, "--keep", "1", "--with-blobs", blobs)
    foreseen = cargohold(*arguments, "--dry-run")
    assert f"{older['path']} of 20" in foreseen
    assert len(document("backup", "list", vault)) == 2
    assert cargohold(*arguments) == foreseen.replace("would be ", "")
    assert [each["path"] for each in document("backup", "list", vault)] == [newer["path"]]
    assert "all is well" in cargohold("backup", "verify", newer["path"], "--with-blobs", blobs, "--full")
    assert not (blobs / "sha256" / digest_of(b"stray")[7:]).exists()
    assert (vault / "notes.txt").exists()


def test_no_blob_is_pruned_where_a_snapshot_can_not_be_read(daemon: Daemon, vault: Path) -> None:
    create(daemon, vault / "a.db.zst", "--with-blobs", vault / "blobs")
    path = vault / "b.db.zst"
    path.write_bytes((vault / "a.db.zst").read_bytes()[:-200])
    os.utime(path, ns=(1, 1))
    assert f"note: {path} " in cargohold("backup", "list", vault)
    arguments = ("backup", "prune", vault, "--keep", "1")
    assert "move it away first" in cargohold(*arguments, "--with-blobs", vault / "blobs", status=2)
    assert "snapshots removed: 0; kept: 1" in cargohold(*arguments)
    for each in (path, vault / "a.db.zst"):
        each.unlink()
    assert "all blobs would go" in cargohold(*arguments, "--with-blobs", vault / "blobs", status=2)


def test_verify_tells_what_is_wrong_by_its_exit_status(daemon: Daemon, vault: Path) -> None:
    path, blobs = vault / "b.db", vault / "blobs"
    create(daemon, path, "--with-blobs", blobs)
    arguments = ("backup", "verify", path, "--with-blobs", blobs)
    copy = blobs / "sha256" / digest_of(LAYER)[7:]
    copy.unlink()
    assert cargohold(*arguments, status=1).startswith(f"{digest_of(LAYER)} is not there\n")
    copy.write_bytes(b"rot__")
    assert "all is well" in cargohold(*arguments)
    assert "has other content than its digest says" in cargohold(*arguments, "--full", status=1)
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"x" * 4096)
    assert "it can't be restored" in cargohold(*arguments, status=1)
    assert "is damaged" in restore(Daemon(vault / "new"), path, status=2)
    path.write_bytes(b"no snapshot")
    assert "is no snapshot" in cargohold(*arguments, status=2)


def test_no_restoration_into_a_folder_that_is_in_use(tmp_path: Path, vault: Path) -> None:
    with running(tmp_path / "data") as daemon:
        create(daemon, vault / "b.db")
        assert "is in use by another daemon" in restore(daemon, vault / "b.db", status=2)
        assert "nothing was changed" in restore(daemon, vault / "b.db", "--dry-run")


@pytest.mark.parametrize("killed", [True, False])
def test_into_an_old_folder(tmp_path: Path, vault: Path, killed: bool) -> None:
    """Newer images are gone, older ones are back; the database before is kept, whole, with what was in its -wal."""
    with running(tmp_path / "data") as daemon:
        push_image(daemon, "1", LAYER)
        create(daemon, vault / "b.db", "--with-blobs", vault / "blobs")
        push_image(daemon, "2", b"newer")
        if killed:
            daemon.kill()
        else:
            daemon.stop()
        blob(daemon.data, LAYER).unlink()
        (vault / "blobs" / "sha256" / digest_of(CONFIG)[7:]).unlink()
        blob(daemon.data, CONFIG).unlink()
        said = restore(daemon, vault / "b.db", "--with-blobs", vault / "blobs", status=1)
        assert "blobs there: 0; copied: 1, 5 bytes; missing: 1" in said
        assert f"{digest_of(CONFIG)} is not there; push it again after the restoration" in said
        [aside] = daemon.data.glob("registry.db.before-*Z")
        assert f"what was there before is kept as {aside}" in said
        assert Path(f"{aside}-wal").exists() == killed
        daemon.start()
        assert json.loads(daemon.request("GET", f"/v2/{NAME}/tags/list")[2])["tags"] == ["1"]
        recovered = cargohold("recover", "--data", daemon.data)
        assert f"{digest_of(CONFIG)} is missing; push it again\n" in recovered
        assert digest_of(LAYER) not in recovered
        daemon.stop()
        other = daemon.data.with_name("other")
        other.mkdir()
        for path in daemon.data.glob(f"{aside.name}*"):
            path.rename(other / path.name.replace(aside.name, "registry.db"))
        with running(other) as before:
            assert json.loads(before.request("GET", f"/v2/{NAME}/tags/list")[2])["tags"] == ["1", "2"]


# The snapshot of the last stop is the state itself: but who restores may have lost files.
def test_a_restoration_is_one_even_if_nothing_has_changed(tmp_path: Path, vault: Path) -> None:
    with running(tmp_path / "data") as daemon:
        push_image(daemon, "1", LAYER)
        daemon.stop()
        restore(daemon, daemon.data / "backup/registry.db")
        blob(daemon.data, LAYER).unlink()
        daemon.start()
        assert f"{digest_of(LAYER)} is missing" in cargohold("recover", "--data", daemon.data)


def test_a_full_temporary_folder_leaves_nothing_behind(daemon: Daemon, vault: Path) -> None:
    """The size of files is limited, as a full disk would do: the snapshot does not fit."""
    command = [sys.executable, "-m", "registry", "backup", "create", str(vault), "--data", str(daemon.data)]
    daemon.start() if daemon.process.poll() is not None else None
    done = subprocess.run(["prlimit", "--fsize=8192", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, "File too large" in done.stderr) == (2, True), done.stderr
    assert os.listdir(vault) == []
