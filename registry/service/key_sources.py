"""Where the keys of an issuer come from: a URL, or a file."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11
import trio

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from registry.store.hops import Hops

LIMIT_BYTES = 1024 * 1024
FETCH_SECONDS = 5.0

_PIECE_BYTES = 64 * 1024


class KeysUnavailable(Exception):
    """The keys could not be read; the message says why, for the log."""


def read_file(path: str) -> bytes:
    """Raises KeysUnavailable."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise KeysUnavailable(str(error)) from None
    _check_size(content)
    return content


async def fetch(url: str, hops: Hops) -> bytes:
    """What a GET of the URL answers, in at most FETCH_SECONDS from the look-up of its host to the last byte.

    The server's certificate has to be good for the host. Redirects are not followed, proxies not asked. It runs on the
    loop, for a thread can't be stopped when the time is over. Raises KeysUnavailable.
    """
    try:
        with trio.fail_after(FETCH_SECONDS):
            stream = await _connect(urlsplit(url), hops)
            async with stream:
                return await _get(stream, urlsplit(url))
    except trio.TooSlowError:
        raise KeysUnavailable(f"no whole answer within {FETCH_SECONDS:g} s") from None
    except (OSError, trio.BrokenResourceError, h11.ProtocolError) as error:
        raise KeysUnavailable(str(error.__cause__ or error)) from None


async def _connect(url: SplitResult, hops: Hops) -> trio.abc.Stream:
    host = url.hostname or ""
    if url.scheme == "http":
        return await trio.open_tcp_stream(host, url.port or 80)
    context = await hops(ssl.create_default_context)  # reads the certificates of the system
    return await trio.open_ssl_over_tcp_stream(host, url.port or 443, https_compatible=True, ssl_context=context)


async def _get(stream: trio.abc.Stream, url: SplitResult) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", url.netloc), ("Accept", "application/json"), ("Connection", "close")]
    request = h11.Request(
        method="GET", target=(url.path or "/") + (f"?{url.query}" if url.query else ""), headers=headers
    )
    await stream.send_all((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_PIECE_BYTES)))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise KeysUnavailable(f"answered with {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            _check_size(body)
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)


def _check_size(content: bytes | bytearray) -> None:
    if len(content) > LIMIT_BYTES:
        raise KeysUnavailable(f"more than {LIMIT_BYTES} bytes")
