"""How commands reach the registry."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from registry import admin
from registry.oci.digests import Digest
from registry.oci.names import RepositoryName, Tag
from registry.service.policy import Policy
from registry.store import folder
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running
from tests.tools.layouts import make_image, make_layer

if TYPE_CHECKING:
    from pathlib import Path

NAME = RepositoryName.parse("team/app")


def cargohold(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "registry", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_socket_is_its_owners_alone_and_goes_with_the_daemon(daemon: Daemon) -> None:
    path = daemon.data / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.kill()
    daemon.start()
    with admin.connect(daemon.data, Policy()) as client:
        assert client.digest_of(NAME, Tag("1")) is None
    daemon.stop()
    assert not path.exists()


def test_a_command_is_the_daemon_for_a_moment_where_none_runs(tmp_path: Path) -> None:
    for _ in range(2):
        with admin.connect(tmp_path / "data", Policy()) as client:
            client.push_manifest(NAME, Digest.of(b'{"mediaType":"a/b"}'), [Tag("1")], "a/b", b'{"mediaType":"a/b"}')
            with pytest.raises(folder.FolderUnusable), folder.hold(tmp_path / "data", allow_network=False):
                pass
    assert sorted(os.listdir(tmp_path / "data")) == ["backup", "ballast", "blobs", "lock", "registry.db", "uploads"]


def test_a_folder_that_somebody_else_holds_is_said(tmp_path: Path) -> None:
    with folder.hold(tmp_path / "data", allow_network=False):
        done = cargohold("import", "--data", tmp_path / "data", tmp_path)
    assert done.returncode == 1
    assert "is in use by another daemon" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_may_be_longer_than_a_sockets(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 40) / "data"
    data.parent.mkdir()
    with running(data) as daemon, admin.connect(data, Policy()) as client:
        assert client.digest_of(NAME, Tag("1")) is None
        assert daemon.request("GET", "/v2/")[0] == 200


def test_import_and_export_as_commands_while_the_daemon_runs(daemon: Daemon, tmp_path: Path) -> None:
    layout = make_image(tmp_path / "image", make_layer("file", os.urandom(1000)))
    done = cargohold("import", "--data", daemon.data, "--as", "team/app:1", layout.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"team/app:1 is {layout.digest}\n")
    assert daemon.request("GET", "/v2/team/app/manifests/1")[2] == layout.manifest
    done = cargohold("export", "--data", daemon.data, "team/app:1", "--to", tmp_path / "out.tar")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        f"{tmp_path / 'out.tar'} holds team/app@{layout.digest}",
    )
    for wrong in (["import", tmp_path / "out.tar", "--as", "Bad:1"], ["export", "no/such:1", "--to", tmp_path / "x"]):
        done = cargohold(wrong[0], "--data", daemon.data, *wrong[1:])
        assert done.returncode == 1
        assert done.stderr.startswith("cargohold: ")
        assert done.stderr.count("\n") == 1


def test_a_read_only_registry_answers_pulls_and_405_to_everything_else(tmp_path: Path) -> None:
    layout = make_image(tmp_path / "image", make_layer("file", os.urandom(1000)))
    with running(tmp_path / "data", {"CARGOHOLD_ACCESS__READ_ONLY": "true"}) as daemon:
        assert cargohold("import", "--data", daemon.data, "--as", "team/app:1", layout.folder).returncode == 0
        blob, digest = layout.layers[0]["digest"], digest_of(CONFIG)
        for target in (
            "manifests/1",
            f"manifests/{layout.digest}",
            f"blobs/{blob}",
            "tags/list",
            f"referrers/{digest}",
        ):
            assert daemon.request("GET", f"/v2/team/app/{target}")[0] == 200
        for method, target in (
            ("POST", "blobs/uploads/"),
            ("POST", f"blobs/uploads/?mount={blob}&from=team/app"),
            ("PATCH", "blobs/uploads/some-session"),
            ("PUT", f"blobs/uploads/some-session?digest={blob}"),
            ("DELETE", "blobs/uploads/some-session"),
            ("PUT", "manifests/2"),
            ("DELETE", "manifests/1"),
            ("DELETE", f"blobs/{blob}"),
        ):
            status, headers, body = daemon.request(method, f"/v2/team/app/{target}", image())
            assert (status, b"UNSUPPORTED" in body) == (405, True)
            assert set(headers["allow"].split(", ")) <= {"", "GET", "HEAD"}
