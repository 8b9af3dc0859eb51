"""TLS below HTTP, in the shape of a plain stream, and held to the same guard.

OpenSSL reads and writes memory; this moves what is in there over the socket. What trio's own stream can't do: after
our side has ended, what the client still sends is read away; a client that ends its side without a word of TLS still
gets its answers, as with plain HTTP.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

import trio

_RECEIVE_BYTES = 256 * 1024
_RECORD_BYTES = 16 * 1024
"""The most that a record holds (RFC 8446, section 5.1)."""

_PLAIN_BODY = b"This port speaks TLS: use https://\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_PLAIN_BODY), _PLAIN_BODY)
)


class HandshakeFailed(Exception):
    """There is no TLS connection; the client was told as far as it can be."""


class TlsStream(trio.abc.AsyncResource):
    """The server's side of a TLS connection. One task may send while another receives.

    The methods raise BrokenResourceError where the connection is broken, as those of a SocketStream do. A ``send_all``
    that is cancelled breaks it; a ``receive_some`` that is cancelled may.
    """

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sending = trio.Lock()
        self._is_broken = False
        self._has_ended = False

    async def handshake(self) -> None:
        """Agree on keys. Raises HandshakeFailed, BrokenResourceError."""
        received = await self._stream.receive_some(_RECEIVE_BYTES)
        if received[:1].isalpha() and received[:1].isascii():  # a record of TLS begins with a small number
            await self._stream.send_all(_PLAIN_ANSWER)
            raise HandshakeFailed("a plain HTTP request")
        while not self._is_agreed_with(received):
            await self._flush()
            received = await self._stream.receive_some(_RECEIVE_BYTES)
        await self._flush()

    def _is_agreed_with(self, received: bytes | bytearray) -> bool:
        """Whether this piece was the last of the handshake."""
        if not received:
            raise trio.BrokenResourceError
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            raise HandshakeFailed(f"the client's certificate: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise HandshakeFailed((error.reason or str(error)).replace("_", " ").lower()) from None
        return True

    async def receive_some(self, max_bytes: int) -> bytes:
        """At least a byte; nothing where the client has ended its side. After ``send_eof``, it is not decrypted."""
        while not self._has_ended:
            data, is_over = self._decrypt(max_bytes)
            await self._flush()  # what OpenSSL answers by itself
            if data or is_over:
                return data
            received = await self._stream.receive_some(_RECEIVE_BYTES)
            if not received:
                return b""
            self._incoming.write(received)
        return bytes(await self._stream.receive_some(max_bytes))

    def _decrypt(self, max_bytes: int) -> tuple[bytes, bool]:
        """All records that have arrived, as far as they are wanted; and whether the client has ended its side."""
        pieces: list[bytes] = []
        rest = max_bytes
        try:
            while rest > 0:
                piece = self._tls.read(min(rest, _RECORD_BYTES))
                if not piece:
                    return b"".join(pieces), True
                pieces.append(piece)
                rest -= len(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        return b"".join(pieces), False

    async def send_all(self, data: bytes | memoryview) -> None:
        if self._is_broken:
            raise trio.BrokenResourceError
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        await self._flush()

    async def send_eof(self) -> None:
        """Say that nothing follows, in TLS (RFC 8446, section 6.1) and in TCP."""
        self._has_ended = True
        with suppress(ssl.SSLError):  # raised where the client has not said so too, and where nothing was agreed on
            self._tls.unwrap()
        await self._flush()
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _flush(self) -> None:
        """Send what the last call of OpenSSL has written: nobody else's, whose end would not be waited for."""
        data = self._outgoing.read()
        if not data:
            return
        try:
            await self._send(data)
        except BaseException:
            self._is_broken = True  # nobody can read what follows half a record
            raise

    async def _send(self, data: bytes) -> None:
        async with self._sending:  # in the order of asking
            if self._is_broken:
                raise trio.BrokenResourceError
            await self._stream.send_all(data)
