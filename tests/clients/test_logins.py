"""Clients that log in, push, pull, and are kept out of where they don't belong: by Basic and by tokens."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.clients.commands import Command, needs
from tests.tools import daemon as daemon_tool
from tests.tools.layouts import Layout, assert_same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.daemon import Daemon

PASSWORD = "correct horse battery staple"
BASIC, TOKEN = "basic", "token"


@pytest.fixture(params=[BASIC, TOKEN])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def daemon(tmp_path: Path, mode: str) -> Iterator[Daemon]:
    """Alice has team/ and writes to public/, from which everybody may pull."""
    with daemon_tool.running(tmp_path / "data", {"CARGOHOLD_ACCESS__MODE": mode}) as running:
        cargohold = Command((sys.executable, "-m", "registry"), dict(os.environ))

        def operate(*words: str, body: bytes = b"") -> bytes:
            return cargohold(*words, "--data", running.data, body=body)

        operate("user", "add", "alice", "--password-stdin", body=PASSWORD.encode())
        operate("grant", "add", "alice", "team/**", "pull", "push", "delete")
        operate("grant", "add", "alice", "public/**", "pull", "push")
        operate("grant", "add", "anonymous", "public/**", "pull")
        yield running


@needs("podman")
@needs("skopeo")
def test_podman_and_skopeo(
    daemon: Daemon, podman: Command, skopeo: Command, small_image: Layout, tmp_path: Path
) -> None:
    source = f"oci:{small_image.folder}"
    team, public = (f"docker://{daemon.host}/{name}/app:1" for name in ("team", "public"))
    skopeo.error_of("copy", source, team)
    podman.error_of("login", "--username", "alice", "--password-stdin", daemon.host)

    podman("login", "--username", "alice", "--password-stdin", daemon.host, body=PASSWORD.encode())
    for image in (team, public):
        skopeo("copy", "--preserve-digests", source, image)
    podman("pull", f"{daemon.host}/team/app:1")
    assert json.loads(skopeo("list-tags", f"docker://{daemon.host}/team/app"))["Tags"] == ["1"]
    skopeo("copy", team, f"docker://{daemon.host}/team/other:1")
    skopeo("delete", f"docker://{daemon.host}/team/other:1")
    assert b"/team/app" in podman("search", f"{daemon.host}/team")
    assert "403" in skopeo.error_of("copy", source, f"docker://{daemon.host}/nobodys/app:1")
    skopeo.error_of("delete", public)

    podman("logout", daemon.host)
    pulled = Layout(tmp_path / "pulled")
    skopeo("copy", public, f"oci:{pulled.folder}")
    assert_same(small_image, pulled)
    skopeo.error_of("copy", team, f"oci:{tmp_path / 'not-pulled'}")
    skopeo.error_of("copy", source, public)


@needs("crane")
def test_crane(daemon: Daemon, crane: Command, small_image: Layout, tmp_path: Path) -> None:
    team, public = (f"{daemon.host}/{name}/app:1" for name in ("team", "public"))
    crane.error_of("push", small_image.folder, team)

    crane("auth", "login", daemon.host, "--username", "alice", "--password-stdin", body=PASSWORD.encode())
    for image in (team, public):
        crane("push", small_image.folder, image)
    crane("copy", team, f"{daemon.host}/team/other:1")
    crane("delete", f"{daemon.host}/team/other:1")
    crane("validate", "--remote", team)
    names = crane("catalog", daemon.host).decode().split()
    assert names == ["public/app", "team/app", "team/other"]
    crane.error_of("push", small_image.folder, f"{daemon.host}/nobodys/app:1")
    crane.error_of("delete", public)

    crane("auth", "logout", daemon.host)
    crane("validate", "--remote", public)
    crane.error_of("manifest", team)


@needs("docker")
@needs("dockerd")
@needs("containerd")
def test_docker(daemon: Daemon, docker: Command, mode: str, tmp_path: Path) -> None:
    """Without credentials docker pulls by tokens only: to a challenge of Basic it has no answer."""
    team, public = (f"{daemon.host}/{name}/app:1" for name in ("team", "public"))
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_bytes(os.urandom(1000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    docker("build", "--tag", team, "--tag", public, context)
    docker.error_of("push", team)

    docker("login", "--username", "alice", "--password-stdin", daemon.host, body=PASSWORD.encode())
    docker("push", team)
    docker("push", public)
    docker("rmi", team, public)
    docker("pull", team)
    docker("tag", team, f"{daemon.host}/nobodys/app:1")
    docker.error_of("push", f"{daemon.host}/nobodys/app:1")

    docker("logout", daemon.host)
    docker("rmi", team, f"{daemon.host}/nobodys/app:1")
    docker.error_of("pull", team)
    if mode == TOKEN:
        docker("pull", public)
    else:
        assert "no basic auth credentials" in docker.error_of("pull", public)


@needs("curl")
def test_curl_with_the_secret_of_a_robot(daemon: Daemon, environment: dict[str, str]) -> None:
    operate = Command((sys.executable, "-m", "registry"), dict(os.environ))
    secret = operate("robot", "add", "ci", "--scope", "team/**:pull", "--data", daemon.data).decode().strip()
    curl = Command(("curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}"), environment)
    url = f"http://{daemon.host}/v2/team/app"

    for login in (
        ["--user", f"ci:{secret}"],
        ["--user", f"robot:ci:{secret}"],
        ["--header", f"Authorization: Bearer {secret}"],
    ):
        assert curl(*login, f"{url}/tags/list") == b"404"
        assert curl(*login, "--request", "POST", f"{url}/blobs/uploads/") == b"403"
    operate("robot", "remove", "ci", "--data", daemon.data)
    assert curl("--user", f"ci:{secret}", f"{url}/tags/list") == b"401"
