"""What a client does to a registry, one act at a time: what it needs first, and the request itself."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from tests.faults.ledger import Ledger
from tests.tools.content import CONFIG, image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.facts import Session
    from tests.faults.ledger import Reply
    from tests.tools.daemon import Daemon

Perform = Callable[[], int | None]
"""Sends the request, each time it is called; the status, None where no answer came."""


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Recorder(Ledger):
    """A ledger that keeps the last answer whole."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon, timeout_seconds=30)
        self.last: Reply | None = None

    def _write(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply | None:
        self.last = super()._write(method, target, body, headers)
        return self.last

    def collect(self) -> int | None:
        """Run garbage collection, by the admin socket."""
        folder = os.open(self._daemon.data, os.O_PATH | os.O_DIRECTORY)
        connection = _UnixConnection(f"/proc/self/fd/{folder}/admin.sock")
        try:
            connection.request("POST", "/admin/gc?now")
            response = connection.getresponse()
            self.last = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, HTTPException):
            self.last = None
        finally:
            connection.close()
            os.close(folder)
        return None if self.last is None else self.last[0]

    def open_uploads(self) -> set[str]:
        """The ids of the sessions that were begun and have not ended."""
        sessions = [session for repository in self._repositories.values() for session in repository.sessions]
        return {session.location.rpartition("/")[2] for session in sessions if session.ended is None}

    def touch(self, name: str) -> None:
        """Let the next ``verify`` ask for this repository again."""
        self._at(name)


def has_envelope(answer: Reply) -> bool:
    """Whether the body is that of the distribution-spec, section "Error Codes"."""
    try:
        errors = json.loads(answer[2])["errors"]
        return bool(errors) and all(isinstance(each["code"], str) and each["message"] for each in errors)
    except (ValueError, KeyError, TypeError):
        return False


def describe(answer: Reply | None) -> str:
    return "not at all" if answer is None or not answer[0] else f"{answer[0]} {answer[2][:120]!r}"


@dataclass(frozen=True, slots=True)
class Act:
    """``prepare(ledger, repository)`` does what the act needs, and returns the act. The repository is new."""

    name: str
    prepare: Callable[[Recorder, str], Perform]
    may_be_gone: bool = False
    """Whether a repetition may be answered with 404, because the first request had its effect after all."""
    ends_upload: bool = False


def _push(size: int) -> Callable[[Recorder, str], Perform]:
    def prepare(ledger: Recorder, name: str) -> Perform:
        content = secrets.token_bytes(size)
        return lambda: ledger.push(name, content)

    return prepare


def _begin(ledger: Recorder, name: str) -> Perform:
    def perform() -> int | None:
        session = ledger.begin(name)
        return None if session is None else 202

    return perform


def _append(*before: int, size: int) -> Callable[[Recorder, str], Perform]:
    def prepare(ledger: Recorder, name: str) -> Perform:
        session = _session(ledger, name, *before)
        chunk = secrets.token_bytes(size)
        return lambda: ledger.append(session, chunk)

    return prepare


def _finish(*before: int, last: int) -> Callable[[Recorder, str], Perform]:
    def prepare(ledger: Recorder, name: str) -> Perform:
        session = _session(ledger, name, *before)
        rest = secrets.token_bytes(last)
        return lambda: ledger.finish(session, rest)

    return prepare


def _collect(ledger: Recorder, name: str) -> Perform:
    """With one blob to condemn and one to remove."""
    _tagged(ledger, name)
    _delete_blob(ledger, name)()
    assert ledger.collect() == 200
    _delete_blob(ledger, name)()
    return ledger.collect


def _session(ledger: Recorder, name: str, *sizes: int) -> Session:
    session = ledger.begin(name)
    assert session is not None
    for size in sizes:
        assert ledger.append(session, secrets.token_bytes(size)) == 202
    return session


def _mount(ledger: Recorder, name: str) -> Perform:
    content = secrets.token_bytes(2_000)
    assert ledger.push(f"{name}/source", content) == 201
    return lambda: ledger.mount(name, content, f"{name}/source")


def _manifest(nonce_bytes: int) -> Callable[[Recorder, str], Perform]:
    def prepare(ledger: Recorder, name: str) -> Perform:
        assert ledger.push(name, CONFIG) == 201
        manifest = make_image(nonce_bytes)
        return lambda: ledger.push_manifest(name, manifest, ("one", "two"))

    return prepare


def _tag_move(ledger: Recorder, name: str) -> Perform:
    _tagged(ledger, name)
    other = make_image()
    assert ledger.push_manifest(name, other) == 201
    return lambda: ledger.push_manifest(name, other, ("one", "two"))


def _delete_tag(ledger: Recorder, name: str) -> Perform:
    _tagged(ledger, name)
    return lambda: ledger.delete_tag(name, "one")


def _delete_manifest(ledger: Recorder, name: str) -> Perform:
    manifest = _tagged(ledger, name)
    return lambda: ledger.delete_manifest(name, manifest)


def _delete_blob(ledger: Recorder, name: str) -> Perform:
    content = secrets.token_bytes(2_000)
    assert ledger.push(name, content) == 201
    return lambda: ledger.delete_blob(name, content)


def _cancel(ledger: Recorder, name: str) -> Perform:
    session = _session(ledger, name, 5_000)
    return lambda: ledger.cancel(session)


def _tagged(ledger: Recorder, name: str) -> bytes:
    """A manifest with two tags."""
    assert ledger.push(name, CONFIG) == 201
    manifest = make_image()
    assert ledger.push_manifest(name, manifest, ("one", "two")) == 201
    return manifest


def make_image(nonce_bytes: int = 16) -> bytes:
    """A manifest like no other, without layers."""
    return image(annotations={"nonce": secrets.token_hex(nonce_bytes)})


CHECKPOINT_BYTES = 1_900_000
"""A manifest with a nonce of this size fills the write-ahead log so far that its COMMIT starts a checkpoint."""

ACTS = (
    Act("push", _push(70_000)),
    Act("push-large", _push(9 * 1024 * 1024)),
    Act("begin", _begin),
    Act("first-chunk", _append(size=50_000)),
    Act("next-chunk", _append(5_000, size=70_000)),
    Act("finish-with-chunk", _finish(5_000, last=3_000), ends_upload=True),
    Act("finish", _finish(5_000, last=0), ends_upload=True),
    Act("mount", _mount),
    Act("manifest", _manifest(16)),
    Act("manifest-checkpoint", _manifest(CHECKPOINT_BYTES)),
    Act("tag-move", _tag_move),
    Act("delete-tag", _delete_tag, may_be_gone=True),
    Act("delete-manifest", _delete_manifest, may_be_gone=True),
    Act("delete-blob", _delete_blob, may_be_gone=True),
    Act("cancel", _cancel, may_be_gone=True),
)

OPERATIONS = (Act("gc", _collect),)
"""What the operator does, to a daemon with SHORT_LIVES."""

SHORT_LIVES = {
    "CARGOHOLD_GC__GRACE": "0.001s",
    "CARGOHOLD_GC__LEASE_SECONDS": "0.001",
    "CARGOHOLD_GC__HORIZON": "0.001s",
}
"""Garbage that goes at once: each collection removes what the ones before condemned."""
