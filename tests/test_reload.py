"""SIGHUP: other settings for the daemon that runs, all of them or none."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from tests.tools.content import digest_of
from tests.tools.daemon import Daemon
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = "the new settings can't be used; those before stay"


class Reloading(Daemon):
    """A daemon with a file of settings."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        super().__init__(folder / "data", settings)
        self.file = folder / "config.toml"
        self.file.touch()
        self.arguments = ["--config", str(self.file)]

    def set(self, text: str) -> dict[str, Any]:
        """The outcome of a reload with these settings."""
        self.file.write_text(text)
        outcomes = [entry for entry in self.entries() if entry["event"] in {"reloaded", REFUSED}]
        self.process.send_signal(signal.SIGHUP)
        self.wait_for("reloading", len(outcomes) + 1)
        while len(found := [entry for entry in self.entries() if entry["event"] in {"reloaded", REFUSED}]) == len(
            outcomes
        ):
            assert self.process.poll() is None
        return found[-1]

    def status(self, method: str, target: str, **headers: str) -> int:
        return self.request(method, target, headers=headers)[0]

    def push(self) -> int:
        return self.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'x')}", b"x")[0]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Reloading]:
    daemon = Reloading(tmp_path)
    daemon.start()
    yield daemon
    if daemon.process.poll() is None:
        daemon.kill()


def test_what_is_refused_changes_at_once_and_back(daemon: Reloading) -> None:
    assert daemon.push() == 201
    blob = f"/v2/a/blobs/{digest_of(b'x')}"
    assert daemon.set("delete.enabled = false\naccess.read_only = true")["changed"] == [
        "access.read_only",
        "delete.enabled",
    ]
    assert daemon.push() == 405
    assert daemon.set("delete.enabled = false")["changed"] == ["access.read_only"]
    assert (daemon.push(), daemon.status("DELETE", blob)) == (201, 405)
    assert daemon.set("")["changed"] == ["delete.enabled"]
    assert daemon.status("DELETE", blob) == 202


def test_access_tokens_and_users(daemon: Reloading, tmp_path: Path) -> None:
    users = tmp_path / "htpasswd"
    users.write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    settings = f'[access]\nmode = "token"\ntoken_seconds = 77\nhtpasswd = "{users}"\n[http]\nexternal_url = "https://reg.example"'
    assert daemon.status("GET", "/v2/") == 200
    assert daemon.set(settings)["event"] == "reloaded"
    status, headers, _ = daemon.request("GET", "/v2/")
    assert (status, headers["www-authenticate"].partition(",")[0]) == (401, 'Bearer realm="https://reg.example/token"')
    alice = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
    token = json.loads(daemon.request("GET", "/token?service=x", headers=alice)[2])
    assert token["expires_in"] == 77
    bearer = {"Authorization": f"Bearer {token['token']}"}
    assert daemon.request("GET", "/v2/", headers=bearer)[0] == 200
    assert daemon.set(settings.replace(f'htpasswd = "{users}"', ""))["changed"] == ["access.htpasswd"]
    assert daemon.request("GET", "/v2/", headers=bearer)[0] == 401


def test_limits_of_requests_and_connections(daemon: Reloading) -> None:
    daemon.set("[http]\nclient_requests_per_second = 0.001\nclient_burst = 2\nclient_connection_limit = 2")
    assert [daemon.status("GET", "/v2/") for _ in range(3)] == [200, 200, 429]
    daemon.set("")
    assert [daemon.status("GET", "/v2/") for _ in range(3)] == [200] * 3


def test_patience_with_clients(daemon: Reloading) -> None:
    daemon.set("http.head_seconds = 0.1")
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\n")
        assert client.recv(100) == b""


def test_the_level_of_the_log(daemon: Reloading) -> None:
    daemon.status("GET", "/v2/")
    assert daemon.set("")["event"] == "reloaded"
    requests = len(daemon.wait_for("request"))
    daemon.file.write_text('log.level = "warning"\nstorage.allow_network = true')
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("settings that count after a restart")
    daemon.status("GET", "/v2/")
    daemon.set("")
    daemon.status("GET", "/v2/_catalog")
    daemon.stop()
    assert [entry["path"] for entry in daemon.wait_for("request")[requests:]] == ["/v2/_catalog"]


def test_what_counts_after_a_restart_is_said(daemon: Reloading, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    outcome = daemon.set(
        f'data = "{tmp_path}/other"\nlisten = ["127.0.0.1:1"]\n[storage]\nallow_network = true\n'
        'checkpoint = "external"\n[metrics]\nlisten = "127.0.0.1:2"\n[http]\n'
        f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"\nstall_seconds = 3'
    )
    assert outcome["changed"] == ["http.stall_seconds"]
    [entry] = daemon.wait_for("settings that count after a restart")
    # The folder and the address stand on the command line, which beats the file.
    assert entry["settings"] == [
        "http.tls_certificate",
        "http.tls_key",
        "metrics.listen",
        "storage.allow_network",
        "storage.checkpoint",
    ]
    assert daemon.status("GET", "/v2/") == 200
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not toml", "not TOML"),
        ("gc.intervall = '5m'", "unknown setting gc.intervall"),
        ("http.stall_seconds = -1", "http.stall_seconds = -1"),
        ("access.htpasswd = '/nowhere'", "/nowhere: can't be read"),
        ("gc.grace = '1s'", "gc.grace = '1s'"),
        ("http.tls_certificate = '/nowhere'\nhttp.tls_key = '/nowhere'", "/nowhere"),
    ],
)
def test_what_is_wrong_changes_nothing(daemon: Reloading, text: str, reason: str) -> None:
    entry = daemon.set(f"access.read_only = true\nhttp.external_url = 'https://x'\n{text}")
    assert (entry["event"], entry["level"]) == (REFUSED, "error")
    assert reason in entry["reason"]
    assert daemon.push() == 201
    assert daemon.set("access.read_only = true")["changed"] == ["access.read_only"]
    assert daemon.push() == 405


def test_a_file_that_is_gone_changes_nothing(daemon: Reloading) -> None:
    daemon.set("access.read_only = true")
    daemon.file.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    assert str(daemon.file) in daemon.wait_for(REFUSED)[0]["reason"]
    assert daemon.push() == 405


def test_where_it_listens_counts_not_where_the_new_settings_would_have_it_listen(tmp_path: Path) -> None:
    """Without access control, it would be open to the network."""
    daemon = Reloading(tmp_path)
    daemon.file.write_text('access.mode = "token"')
    with socket.create_server(("0.0.0.0", 0)) as held:
        daemon.sockets = [held]
        daemon.start()
        try:
            entry = daemon.set("")
            assert entry["event"] == REFUSED
            assert "would let anybody who reaches this address" in entry["reason"]
            assert daemon.status("GET", "/v2/") == 401
        finally:
            daemon.kill()


def test_a_request_in_flight_is_not_disturbed(daemon: Reloading) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.putrequest("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'x' * 1000)}")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"x" * 500)
    assert daemon.set("http.stall_seconds = 30\nhttp.external_url = 'https://x'")["event"] == "reloaded"
    connection.send(b"x" * 500)
    assert connection.getresponse().status == 201
    connection.close()
