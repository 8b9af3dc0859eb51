"""The registry as a client sees it, over a unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from registry.oci.digests import Digest
from registry.transfer.errors import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from registry.oci.names import RepositoryName, Tag
    from registry.transfer.progress import Readable

PIECE_BYTES = 1024 * 1024


class Client:
    """One connection, one request at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = _UnixConnection(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def is_answered(self) -> bool:
        """Whether somebody answers there."""
        try:
            self._request("GET", "/v2/", allowed=(200,)).read()
        except OSError:
            return False
        return True

    def digest_of(self, name: RepositoryName, reference: Tag | Digest) -> Digest | None:
        """The digest of a manifest, None where it is not there."""
        answer = self._request("HEAD", f"/v2/{name}/manifests/{reference}", allowed=(200, 404))
        answer.read()
        return Digest.parse(answer.headers["Docker-Content-Digest"]) if answer.status == 200 else None

    def has_blob(self, name: RepositoryName, digest: Digest) -> bool:
        answer = self._request("HEAD", f"/v2/{name}/blobs/{digest}", allowed=(200, 404))
        answer.read()
        return answer.status == 200

    def push_blob(
        self, name: RepositoryName, digest: Digest, open_content: Callable[[], AbstractContextManager[Readable]]
    ) -> bool:
        """Link the blob where another repository has it, else upload it; whether it was uploaded.

        An upload that does not come to its end, be it by Ctrl-C, is cancelled. (A process that is killed leaves its
        session behind, which expires as any idle one does.)
        """
        answer = self._request("POST", f"/v2/{name}/blobs/uploads/?mount={digest}", allowed=(201, 202))
        answer.read()
        if answer.status == 201:
            return False
        location = answer.headers["Location"]
        try:
            with open_content() as content:
                pieces = iter(lambda: content.read(PIECE_BYTES), b"")
                self._request("PUT", f"{location}?digest={digest}", pieces, allowed=(201,)).read()
        except BaseException:
            self._cancel_upload(location)
            raise
        return True

    def _cancel_upload(self, location: str) -> None:
        """On a new connection, for the other may be in the middle of a request. Why it comes to this counts more."""
        self._connection.close()
        with suppress(RequestFailed, OSError, http.client.HTTPException):
            self._request("DELETE", location, allowed=(204, 404)).read()

    def push_manifest(
        self, name: RepositoryName, digest: Digest, tags: list[Tag], media_type: str, body: bytes
    ) -> None:
        query = urlencode([("tag", str(tag)) for tag in tags])
        path = f"/v2/{name}/manifests/{digest}?{query}"
        self._request("PUT", path, body, {"Content-Type": media_type}, allowed=(201,)).read()

    def read_manifest(self, name: RepositoryName, reference: Tag | Digest) -> tuple[str, bytes] | None:
        """Media type and bytes, None where it is not there."""
        answer = self._request("GET", f"/v2/{name}/manifests/{reference}", allowed=(200, 404))
        body = answer.read()
        return (answer.headers["Content-Type"], body) if answer.status == 200 else None

    def open_blob(self, name: RepositoryName, digest: Digest) -> http.client.HTTPResponse | None:
        """The answer with the blob as its body, None where it is not there. Read it to its end."""
        answer = self._request("GET", f"/v2/{name}/blobs/{digest}", allowed=(200, 404))
        if answer.status == 200:
            return answer
        answer.read()
        return None

    def list_tags(self, name: RepositoryName) -> Iterator[str]:
        """Page by page, in the order of their bytes. Raises RequestFailed where there is no such repository."""
        target: str | None = f"/v2/{name}/tags/list"
        while target is not None:
            answer = self._request("GET", target, allowed=(200,))
            yield from json.loads(answer.read())["tags"]
            link = answer.headers.get("Link")
            target = None if link is None else link.partition("<")[2].partition(">")[0]

    def operate(self, method: str, path: str, **parameters: str | Sequence[str]) -> Any:
        """One of the operator's commands; the document that answers it. Raises RequestFailed, OSError."""
        return self._operate(method, f"{path}?{urlencode(parameters, doseq=True)}", b"")

    def submit(self, method: str, path: str, **fields: str | Sequence[str]) -> Any:
        """Likewise, with a form in the body: a password has no place in a URL."""
        return self._operate(method, path, urlencode(fields, doseq=True).encode())

    def _operate(self, method: str, target: str, body: bytes) -> Any:
        answer = self._request(method, f"/admin/{target}", body, allowed=(200, 400, 409))
        content = answer.read()
        if answer.status != 200:  # what is wrong with the command, in words for who gave it
            raise RequestFailed(_message(content))
        return json.loads(content)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        allowed: tuple[int, ...],
    ) -> http.client.HTTPResponse:
        """Raises RequestFailed for another status, OSError."""
        with suppress(BrokenPipeError, ConnectionResetError):  # an answer that came early says why
            self._connection.request(method, path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        if answer.status not in allowed:
            raise RequestFailed(f"{method} {path}: {answer.status} {_message(answer.read())}")
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def _message(body: bytes) -> str:
    try:
        return "; ".join(map(_sentence, json.loads(body)["errors"]))
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]


def _sentence(error: Mapping[str, Any]) -> str:
    detail = error["detail"]
    return str(error["message"]) if detail is None else f"{error['message']} {json.dumps(detail)}"
