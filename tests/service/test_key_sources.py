"""Answers of issuers, good and bad, and their certificates; and what is taken for a key."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme
from structlog.testing import capture_logs

from registry.service.key_sets import parse_key_set
from registry.service.key_sources import LIMIT_BYTES, KeysUnavailable, fetch
from registry.store.hops import Hops
from tests.tools.jwts import ABSENT, base64url, key_set, signer
from tests.tools.key_server import KeyServer, key_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock

KEY, RSA = signer("good-P-256", "P-256"), signer("good-RSA")
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}", b"{}"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}"),
        (HEAD + b"\r\n{}", b"{}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}", b"{}"),
        (HEAD + b"Content-Length: %d\r\n\r\n%b" % (LIMIT_BYTES, b"x" * LIMIT_BYTES), b"x" * LIMIT_BYTES),
    ],
)
async def test_an_answer(server: KeyServer, answer: bytes, body: bytes) -> None:
    server.answer = answer
    assert await fetch(server.url, Hops()) == body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered with 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "answered with 204"),
        (HEAD + b"Content-Length: %d\r\n\r\n%b" % (LIMIT_BYTES + 1, b"x" * (LIMIT_BYTES + 1)), "more than 1048576"),
        (HEAD + b"\r\n" + b"x" * (LIMIT_BYTES + 1), "more than 1048576"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%b\r\n" % bytes(2**16) * 17, "more than 1048576"),
        (HEAD + b"X: " + b"x" * 2**20, "Receive buffer too long"),
        (HEAD + b"Content-Length: 3\r\n\r\n{}", "received 2 bytes, expected 3"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "conflicting Content-Length"),
        (b"", "ConnectionClosed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "illegal status line"),
    ],
)
async def test_a_bad_answer(server: KeyServer, answer: bytes, reason: str) -> None:
    server.answer = answer
    with pytest.raises(KeysUnavailable, match=reason):
        await fetch(server.url, Hops())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(server: KeyServer, status: int) -> None:
    """Neither to another scheme nor to another host: the operator named one."""
    with key_server() as target:
        target.give(key_set(KEY))
        server.answer = f"HTTP/1.1 {status} Moved\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with pytest.raises(KeysUnavailable, match=f"answered with {status}"):
            await fetch(server.url, Hops())
        assert target.requests == []


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(KeysUnavailable, match="connect"):
            await fetch(f"http://127.0.0.1:{bound.getsockname()[1]}/", Hops())


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"])
async def test_all_of_it_has_to_come_in_five_seconds(answer: bytes, mock_clock: MockClock) -> None:
    """However much of it has come: a server that sends a byte now and then holds nobody up for longer."""
    listener, caught = await trio.open_tcp_listeners(0, host="127.0.0.1"), []
    url = f"http://127.0.0.1:{listener[0].socket.getsockname()[1]}/"

    async def ask() -> None:
        with pytest.raises(KeysUnavailable, match="no whole answer within 5 s"):
            await fetch(url, Hops())
        caught.append(trio.current_time())

    async with trio.open_nursery() as nursery, listener[0]:
        nursery.start_soon(ask)
        stream = await listener[0].accept()
        async with stream:
            assert await stream.receive_some()
            await stream.send_all(answer)
            mock_clock.jump(4)
            await trio.testing.wait_all_tasks_blocked()
            assert caught == []
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
            assert len(caught) == 1
            assert await stream.receive_some() == b""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[KeyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with key_server(context) as server:
        server.give(b"{}")
        yield server


async def test_a_certificate_that_the_system_trusts(
    secure: KeyServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names further ones (openssl(1)); the name has to be right too."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert await fetch(secure.url, Hops()) == b"{}"
    with pytest.raises(KeysUnavailable, match="certificate is not valid for 'localhost'"):
        await fetch(secure.url.replace("127.0.0.1", "localhost"), Hops())


async def test_a_certificate_of_somebody(secure: KeyServer) -> None:
    with pytest.raises(KeysUnavailable, match="certificate verify failed"):
        await fetch(secure.url, Hops())
    assert secure.requests == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kid": ABSENT}, "no id"),
        ({"kid": 1}, "no id"),
        ({"use": "enc"}, "not for signatures"),
        ({"key_ops": ["encrypt"]}, "not for signatures"),
        ({"key_ops": 1}, ""),
        ({"d": "AQAB"}, "not public"),
        ({"kty": "oct", "k": "AQAB"}, "not public"),
        ({"kty": "EC"}, "kind is not supported"),
        ({"kty": "EC", "crv": "P-256"}, ""),
        ({"kty": "EC", "crv": ["P-256"]}, "kind is not supported"),
        ({"kty": "EC", "crv": "P-256", "x": base64url(b"\1" * 32), "y": base64url(b"\1" * 32)}, ""),
        ({"kty": "EC", "crv": "secp256k1"}, "kind is not supported"),
        ({"kty": "OKP", "crv": "Ed448"}, "kind is not supported"),
        ({"kty": "OKP", "crv": "P-256"}, ""),
        ({"alg": "RSA-OAEP"}, "kind is not supported"),
        ({"alg": "HS256"}, "kind is not supported"),
        ({"alg": "ES256"}, "kind is not supported"),
        ({"alg": ["RS256"]}, ""),
        ({"n": ABSENT}, ""),
        ({"n": 5}, ""),
        ({"n": base64url(b"\xff" * 64)}, "at least 2048 bits"),
        ({"n": "A"}, ""),
        ({"e": "AQ"}, ""),
    ],
)
def test_what_is_no_key_is_left_out(changes: dict[str, Any], reason: str) -> None:
    with capture_logs() as log:
        keys = parse_key_set(key_set(KEY, RSA.jwk(**changes)))
    assert list(keys) == [KEY.kid]
    [entry] = log
    assert reason in entry["reason"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": {}}', b"\xff", b'{"keys": ' + b"[" * 10_000])
def test_what_is_no_key_set(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|utf-8|Expecting|nested"):
        parse_key_set(content)


def test_a_member_that_is_no_object_is_left_out() -> None:
    assert parse_key_set(b'{"keys": [1, null, [], "x"]}') == {}
