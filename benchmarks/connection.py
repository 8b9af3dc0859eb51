"""HTTP/1.1 over a bare socket, and the pushes that are made of it."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from benchmarks import content
from benchmarks.work import LoadFailed
from registry.oci.media_types import OCI_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAYERS = 10
"""Of an image."""

_CONFIG_BYTES = 512
_TIMEOUT_SECONDS = 120


class Connection:
    """One request after another. Whatever is not answered as expected raises LoadFailed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(content.MIB)

    def send(self, method: str, target: str, *headers: str, length: int | None = None) -> None:
        """The head; a body of this length is to follow."""
        lines = [f"{method} {target} HTTP/1.1", "Host: registry", *headers]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send_file(self, descriptor: int, length: int) -> None:
        """The first bytes of a file, without copying them."""
        offset = 0
        while offset < length:
            select.select([], [self.socket], [])
            offset += os.sendfile(self.socket.fileno(), descriptor, offset, length - offset)

    def answer(self, status: int, method: str = "GET", *, keep: bool = False) -> tuple[dict[str, str], bytes]:
        """Headers, by their names in lower case, and the body if it is to be kept."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if int(status_line.split(" ")[1]) != status:
            raise LoadFailed(f"{status_line} instead of {status}: {body.decode(errors='replace')[:200]}")
        left = 0 if method == "HEAD" else int(headers.get("content-length", 0)) - len(body)
        return headers, body + self._read(left) if keep else self._discard(left)

    def _read(self, left: int) -> bytes:
        body = b""
        while len(body) < left:
            body += self._receive(left - len(body))
        return body

    def _receive(self, limit: int) -> bytes:
        piece = self.socket.recv(limit)
        if not piece:
            raise LoadFailed("the connection ended in the middle")
        return piece

    def _discard(self, left: int) -> bytes:
        """Take the bytes off the socket without copying them (MSG_TRUNC, tcp(7))."""
        while left:
            count = self.socket.recv_into(self._buffer, min(left, content.MIB), socket.MSG_TRUNC)
            if not count:
                raise LoadFailed("the connection ended in the middle")
            left -= count
        return b""


def push_blob(connection: Connection, repository: str, digest: str, length: int, send: Callable[[], None]) -> None:
    """POST, then PUT of a body that ``send`` sends."""
    connection.send("POST", f"/v2/{repository}/blobs/uploads/", length=0)
    location = connection.answer(202)[0]["location"]
    target = location if location.startswith("/") else "/" + location.split("/", 3)[3]
    target = f"{target}{'&' if '?' in target else '?'}digest={digest}"
    connection.send("PUT", target, "Content-Type: application/octet-stream", length=length)
    send()
    connection.answer(201)


def push_bytes(connection: Connection, repository: str, digest: str, body: bytes) -> None:
    push_blob(connection, repository, digest, len(body), lambda: connection.socket.sendall(body))


def push_manifest(connection: Connection, repository: str, reference: str, body: bytes) -> None:
    connection.send("PUT", f"/v2/{repository}/manifests/{reference}", f"Content-Type: {OCI_IMAGE}", length=len(body))
    connection.socket.sendall(body)
    connection.answer(201)


def image_digests(number: int, size: int) -> list[str]:
    """Of the layers, each of so many bytes, and of the config. The next image is ``LAYERS + 1`` further on."""
    layers = [content.digest_of(number + place, size) for place in range(LAYERS)]
    return [*layers, content.digest_of(number + LAYERS, _CONFIG_BYTES)]


def push_image(connection: Connection, repository: str, number: int, digests: Sequence[str], size: int) -> None:
    """As clients do: ask for each blob, which is not there, push it, and then the manifest, tagged ``i<number>``."""
    sizes = [size] * LAYERS + [_CONFIG_BYTES]
    for place, (digest, length) in enumerate(zip(digests, sizes, strict=True)):
        connection.send("HEAD", f"/v2/{repository}/blobs/{digest}")
        connection.answer(404, "HEAD")
        [body] = content.pieces(number + place, length)
        push_bytes(connection, repository, digest, body)
    *layers, config = zip(digests, sizes, strict=True)
    push_manifest(connection, repository, f"i{number}", content.manifest(number, config, layers))
