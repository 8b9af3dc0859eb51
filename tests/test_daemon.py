"""The life of the daemon as its users see it."""

from __future__ import annotations

import http.client
import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from pathlib import Path

BLOB = os.urandom(5_000_000)


def push(daemon: Daemon, name: str, *blobs: bytes) -> None:
    for blob in blobs:
        assert daemon.request("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}", blob)[0] == 201


def test_what_was_pushed_is_there_after_a_restart_and_after_a_kill(daemon: Daemon) -> None:
    push(daemon, "a", CONFIG, BLOB)
    manifest = image(BLOB)
    assert daemon.request("PUT", "/v2/a/manifests/v1", manifest)[0] == 201
    for again in (daemon.restart, lambda: (daemon.kill(), daemon.start())):
        again()
        assert daemon.request("GET", "/v2/a/manifests/v1")[2] == manifest
        assert daemon.request("GET", f"/v2/a/blobs/{digest_of(BLOB)}")[2] == BLOB


def test_an_upload_goes_on_after_a_kill_from_what_was_acknowledged(daemon: Daemon) -> None:
    url = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    assert daemon.request("PATCH", url, BLOB[:3_000_000])[1]["range"] == "0-2999999"
    daemon.kill()
    daemon.start()
    status, headers, _ = daemon.request("GET", url)
    assert (status, headers["range"]) == (204, "0-2999999")
    assert daemon.request("PATCH", url, BLOB[3_000_000:4_000_000])[1]["range"] == "0-3999999"
    assert daemon.request("PUT", f"{url}?digest={digest_of(BLOB)}", BLOB[4_000_000:])[0] == 201
    assert daemon.request("GET", f"/v2/a/blobs/{digest_of(BLOB)}")[2] == BLOB


def test_a_request_in_flight_is_finished_before_it_stops(daemon: Daemon) -> None:
    url = daemon.request("POST", "/v2/a/blobs/uploads/")[1]["location"]
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.putrequest("PUT", f"{url}?digest={digest_of(BLOB)}")
    connection.putheader("Content-Length", str(len(BLOB)))
    connection.endheaders(BLOB[:2_000_000])
    while not os.listdir(daemon.data / "uploads"):
        os.sched_yield()
    daemon.process.terminate()
    while not any(entry["event"] == "stopping" for entry in daemon.entries()):
        os.sched_yield()
    connection.send(BLOB[2_000_000:])
    response = connection.getresponse()
    assert (response.status, response.headers["Connection"]) == (201, "close")
    connection.close()
    assert daemon.process.wait(30) == 0
    daemon.start()
    assert daemon.request("GET", f"/v2/a/blobs/{digest_of(BLOB)}")[2] == BLOB


def test_it_leaves_one_database_file(daemon: Daemon) -> None:
    push(daemon, "a", CONFIG)
    assert daemon.stop() == 0
    assert sorted(os.listdir(daemon.data)) == ["backup", "ballast", "blobs", "lock", "registry.db", "uploads"]


def test_it_listens_on_several_addresses_and_replaces_its_stale_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listen = {"CARGOHOLD_LISTEN": f"unix:{path}"}
    with running(tmp_path / "data", listen) as daemon:
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            client.close()
            daemon.kill()
            daemon.start()


def test_each_request_is_one_line_of_the_log(daemon: Daemon) -> None:
    push(daemon, "my/image", CONFIG)
    daemon.request("GET", f"/v2/my/image/blobs/{digest_of(CONFIG)}")
    daemon.stop()
    entry = [entry for entry in daemon.entries() if entry["event"] == "request"][-1]
    expected = {
        "method": "GET",
        "path": f"/v2/my/image/blobs/{digest_of(CONFIG)}",
        "repository": "my/image",
        "reference": digest_of(CONFIG),
        "status": 200,
        "bytes": len(CONFIG),
        "client": "127.0.0.1",
    }
    assert expected.items() <= entry.items()
    assert entry["seconds"] > 0
    assert entry["request_id"]


def test_systemd_is_told_of_its_life(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(30)
    with running(tmp_path / "data", {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        assert manager.recv(100) == b"READY=1"
        daemon.stop()
        assert manager.recv(100) == b"STOPPING=1"
    manager.close()


@pytest.mark.parametrize("folder", ["blobs/sha256", "uploads"])
def test_a_fault_is_a_500_with_the_id_of_its_log_entry(daemon: Daemon, folder: str) -> None:
    push(daemon, "a", CONFIG)
    os.rename(daemon.data / folder, daemon.data / "gone")
    if folder == "uploads":
        status, headers, body = daemon.request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(b'x')}", b"x")
    else:
        status, headers, body = daemon.request("GET", f"/v2/a/blobs/{digest_of(CONFIG)}")
    assert status == 500
    assert headers["x-request-id"].encode() in body
    [fault] = [entry for entry in daemon.entries() if entry["event"] == "fault"]
    assert fault["request_id"] == headers["x-request-id"]
    assert fault["exception"][0]["exc_type"] == "FileNotFoundError"
    assert daemon.request("GET", "/v2/")[0] == 200


def test_more_connections_than_the_usual_limit_of_descriptors(tmp_path: Path) -> None:
    with running(tmp_path / "data", limit_descriptors=256) as daemon:
        idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(400)]
        assert daemon.request("GET", "/v2/")[0] == 200
        for client in idle:
            client.close()


def test_a_refused_request_is_logged_too(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert [(entry["status"], entry["client"]) for entry in daemon.entries() if entry["event"] == "refused"] == [
        (400, "127.0.0.1")
    ]


def test_it_warns_of_what_is_seldom_meant(tmp_path: Path) -> None:
    settings = {"CARGOHOLD_ACCESS__MODE": "token", "CARGOHOLD_LISTEN": "0.0.0.0:0"}
    with running(tmp_path / "data", settings) as daemon:
        daemon.restart()
    warnings = [entry["event"] for entry in daemon.entries() if entry["level"] == "warning"]
    assert [warning.partition(":")[0] for warning in warnings] == [
        "there are no rules yet, so nobody may do anything",
        "passwords and tokens cross the network without TLS",
    ] * 2
