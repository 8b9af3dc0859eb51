"""Uploads in chunks, sent by curl, that go on after the daemon was stopped or killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.clients.commands import needs
from tests.clients.waiting import LIMIT_SECONDS, wait_until
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clients.curl import Curl
    from tests.tools.asgi import Reply
    from tests.tools.daemon import Daemon

pytestmark = needs("curl")

_CHUNK_BYTES = 3 * 1024 * 1024


def _restart(daemon: Daemon) -> None:
    daemon.restart()


def _kill(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()


@pytest.mark.parametrize("interrupt", [_restart, _kill])
def test_curl_goes_on_with_an_upload_where_the_daemon_was_interrupted(
    daemon: Daemon, curl: Curl, interrupt: Callable[[Daemon], None]
) -> None:
    content = os.urandom(2 * _CHUNK_BYTES + 1)
    location = curl.begin_upload("team/app")
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        acknowledged = _patch(curl, location, start, chunk)
        assert acknowledged.headers["range"] == f"0-{start + len(chunk) - 1}"
        interrupt(daemon)
        assert _range(curl, location) == acknowledged.headers["range"]

    assert _finish(curl, location, content) == content


@pytest.mark.parametrize("acknowledged_bytes", [0, _CHUNK_BYTES])
def test_curl_goes_on_after_a_chunk_that_sigkill_broke_off(daemon: Daemon, curl: Curl, acknowledged_bytes: int) -> None:
    acknowledged, lost = os.urandom(acknowledged_bytes), os.urandom(_CHUNK_BYTES)
    rest = os.urandom(1000)  # it is shorter, and would not cover what might be left of the lost bytes
    location = curl.begin_upload("team/app")
    if acknowledged:
        _patch(curl, location, 0, acknowledged)
    before = _range(curl, location)

    with curl.start_patch(location) as patch:
        assert patch.stdin is not None
        patch.stdin.write(lost)
        patch.stdin.flush()
        wait_until(lambda: patch.poll() is not None or _received_bytes(daemon, location) > acknowledged_bytes)
        daemon.kill()
        patch.communicate(timeout=LIMIT_SECONDS)
    assert patch.returncode != 0, "a chunk was acknowledged before its end"

    daemon.start()

    assert _range(curl, location) == before
    _patch(curl, location, acknowledged_bytes, rest)
    assert _finish(curl, location, acknowledged + rest) == acknowledged + rest


def test_curl_is_told_where_to_go_on_when_a_chunk_is_out_of_order(daemon: Daemon, curl: Curl) -> None:
    content = os.urandom(2 * _CHUNK_BYTES)
    location = curl.begin_upload("team/app")
    _patch(curl, location, 0, content[:_CHUNK_BYTES])
    _kill(daemon)

    reply = curl("PATCH", location, b"late", {"Content-Range": f"{_CHUNK_BYTES + 1}-{_CHUNK_BYTES + 4}"})

    assert (reply.status, reply.headers["range"]) == (416, f"0-{_CHUNK_BYTES - 1}")
    _patch(curl, location, _CHUNK_BYTES, content[_CHUNK_BYTES:])
    assert _finish(curl, location, content) == content


def _patch(curl: Curl, location: str, start: int, chunk: bytes) -> Reply:
    reply = curl("PATCH", location, chunk, {"Content-Range": f"{start}-{start + len(chunk) - 1}"})
    assert reply.status == 202, reply
    return reply


def _range(curl: Curl, location: str) -> str:
    """How far the upload has come, as the daemon tells it."""
    reply = curl("GET", location)
    assert reply.status == 204, reply
    return reply.headers["range"]


def _finish(curl: Curl, location: str, content: bytes) -> bytes:
    """Close the upload; what is there then."""
    reply = curl("PUT", f"{location}?digest={digest_of(content)}", b"")
    assert reply.status == 201, reply
    return curl("GET", reply.headers["location"]).body


def _received_bytes(daemon: Daemon, location: str) -> int:
    """How much of the upload is in its file, acknowledged or not."""
    file = daemon.data / "uploads" / location.rpartition("/")[2]
    return file.stat().st_size if file.exists() else 0
