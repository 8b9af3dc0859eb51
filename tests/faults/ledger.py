"""The ledger: a client that knows what a registry has acknowledged, and asks for all of it after a fault."""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.faults.checking import Check
from tests.faults.facts import Repository, Session
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.tools.daemon import Daemon

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers with lower-case names, body."""

_NOT_SENT: Reply = (0, {}, b"")


class Ledger:
    """Records each act before it is sent and its outcome after the answer.

    Every act returns the status, or None where no answer came; then it is in doubt, as after a status of 500 and
    above: that it happened is right, and that it did not, but nothing between. Each method may be called from any
    thread, but a repository belongs to one ledger, and a ledger to one thread at a time. Verify after each fault:
    acts in doubt multiply the states that a repository may be in.
    """

    def __init__(self, daemon: Daemon, timeout_seconds: float = 60) -> None:
        self.acknowledged = 0
        """Writes that were answered with 2xx."""
        self._daemon = daemon
        self._timeout_seconds = timeout_seconds
        self._repositories: dict[str, Repository] = {}
        self._contents: dict[str, bytes] = {}
        self._found: list[str] = []

    def push(self, name: str, content: bytes, algorithm: str = "sha256") -> int | None:
        """Push a blob in one request."""
        digest = self._keep(content, algorithm)
        settle = self._at(name).blob(digest).intend(lambda _: True)
        reply = self._write("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        settle(_outcome(reply))
        return _status(reply)

    def push_chunked(self, name: str, chunks: Sequence[bytes], algorithm: str = "sha256") -> int | None:
        """POST, a PATCH for each chunk but the last, and the last one with the PUT; the status where it stopped."""
        session = self.begin(name)
        if session is None:
            return None
        for chunk in chunks[:-1]:
            status = self.append(session, chunk)
            if status != 202:
                return status
        return self.finish(session, b"".join(chunks[-1:]), algorithm)

    def begin(self, name: str) -> Session | None:
        """Open an upload session; None where no 202 came."""
        repository = self._at(name)
        reply = self._write("POST", f"/v2/{name}/blobs/uploads/")
        if reply is None or reply[0] != 202:
            return None
        session = Session(name, reply[1]["location"])
        repository.sessions.append(session)
        return session

    def append(self, session: Session, chunk: bytes) -> int | None:
        """PATCH a chunk behind the last byte that was acknowledged."""
        self._at(session.name)
        before = session.sent
        session.sent = session.sent[: session.offset] + chunk
        headers = {"Content-Range": f"{session.offset}-{len(session.sent) - 1}"} if chunk else {}
        reply = self._write("PATCH", session.location, chunk, headers)
        if _outcome(reply):
            session.offset = len(session.sent)
        elif _outcome(reply) is False:
            session.sent = before
            self._may_refuse(session, reply)
        return _status(reply)

    def finish(self, session: Session, last: bytes = b"", algorithm: str = "sha256") -> int | None:
        """Close a session by PUT, with its last bytes in the same request."""
        digest = self._keep(session.sent[: session.offset] + last, algorithm)
        fact = self._at(session.name).blob(digest)
        session.closing, session.closing_told = digest, fact.is_certainly(False)
        settle = fact.intend(lambda _: True)
        reply = self._write("PUT", f"{session.location}?digest={digest}", last)
        settle(_outcome(reply))
        if _outcome(reply):
            session.ended = "PUT"
        elif _outcome(reply) is False:
            self._may_refuse(session, reply)
            session.closing = None
        return _status(reply)

    def cancel(self, session: Session) -> int | None:
        self._at(session.name)
        session.cancelling = True
        reply = self._write("DELETE", session.location)
        if _outcome(reply):
            session.ended = "DELETE"
        elif _outcome(reply) is False:
            session.cancelling = False
            self._may_refuse(session, reply)
        return _status(reply)

    def mount(self, name: str, content: bytes, source: str) -> int | None:
        """Mount a blob from a repository; answered by 202, it has opened a session instead, which is cancelled."""
        digest = self._keep(content)
        repository = self._at(name)
        settle = repository.blob(digest).intend(lambda _: True)
        reply = self._write("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={source}")
        is_opened = reply is not None and reply[0] == 202
        settle(False if is_opened else _outcome(reply))
        if is_opened:
            session = Session(name, reply[1]["location"])
            repository.sessions.append(session)
            self.cancel(session)
        return _status(reply)

    def push_manifest(self, name: str, manifest: bytes, tags: Sequence[str] = ()) -> int | None:
        """PUT a manifest by its digest, and point the tags to it in the same request."""
        digest = self._keep(manifest)
        settle = self._at(name).intend_push(manifest, digest, tuple(tags))
        query = "&".join(f"tag={tag}" for tag in tags)
        media_type = json.loads(manifest)["mediaType"]
        reply = self._write("PUT", f"/v2/{name}/manifests/{digest}?{query}", manifest, {"Content-Type": media_type})
        settle(_outcome(reply))
        return _status(reply)

    def delete_tag(self, name: str, tag: str) -> int | None:
        settle = self._at(name).names.intend(lambda names: names.delete_tag(tag))
        reply = self._write("DELETE", f"/v2/{name}/manifests/{tag}")
        settle(_outcome(reply))
        return _status(reply)

    def delete_manifest(self, name: str, manifest: bytes) -> int | None:
        digest = digest_of(manifest)
        settle = self._at(name).names.intend(lambda names: names.delete_manifest(digest))
        reply = self._write("DELETE", f"/v2/{name}/manifests/{digest}")
        settle(_outcome(reply))
        return _status(reply)

    def delete_blob(self, name: str, content: bytes, algorithm: str = "sha256") -> int | None:
        digest = self._keep(content, algorithm)
        settle = self._at(name).blob(digest).intend(lambda _: False)
        reply = self._write("DELETE", f"/v2/{name}/blobs/{digest}")
        settle(_outcome(reply))
        return _status(reply)

    def push_elsewhere(
        self, name: str, contents: Iterable[bytes], manifest: bytes, tags: Sequence[str], act: Callable[[], bool]
    ) -> bool:
        """Record what a command pushes, such as ``cargohold import``; ``act`` tells whether it succeeded."""
        repository = self._at(name)
        settles = [repository.blob(self._keep(content)).intend(lambda _: True) for content in contents]
        settles.append(repository.intend_push(manifest, self._keep(manifest), tuple(tags)))
        done = act()
        for settle in settles:
            settle(done or None)
        self.acknowledged += len(settles) if done else 0
        return done

    def verify(
        self, daemon: Daemon | None = None, *, touched_only: bool = False, close_uploads: bool = True
    ) -> list[str]:
        """Ask for everything that was recorded; what is lost or wrong, one sentence each.

        What is seen is taken for the truth from then on. Open sessions are resumed and closed, or, without
        ``close_uploads``, only asked how far they are. ``touched_only`` leaves out what did not change since last time.
        """
        self._daemon = daemon or self._daemon
        sentences, self._found = self._found, []
        for repository in self._repositories.values():
            if repository.touched or not touched_only:
                sentences += Check(self, self._daemon.port, repository).run(close_uploads=close_uploads)
                repository.touched = False
        return sentences

    def content(self, digest: str) -> bytes:
        """What was sent, or meant to be, under a digest."""
        return self._contents[digest]

    def _at(self, name: str) -> Repository:
        repository = self._repositories.setdefault(name, Repository(name))
        repository.touched = True
        return repository

    def _keep(self, content: bytes, algorithm: str = "sha256") -> str:
        digest = digest_of(content, algorithm)
        self._contents[digest] = content
        return digest

    def _may_refuse(self, session: Session, reply: Reply | None) -> None:
        """A session may be unknown only after it was closed or cancelled, perhaps without an answer."""
        if reply is None or reply[0] != 404:
            return
        if not session.may_be_gone:
            self._found.append(f"{session.location}: open, at {session.offset}, and answered with {reply[2][:120]!r}")
        session.ended = session.ended or "404"

    def _write(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply | None:
        """One request on a connection of its own; None where no answer came, status 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self._daemon.port, timeout=self._timeout_seconds)
        try:
            connection.connect()
        except OSError:
            return _NOT_SENT
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # an answer that came early says why
                connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            reply = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        self.acknowledged += 200 <= reply[0] < 300
        return reply


def _status(reply: Reply | None) -> int | None:
    return None if reply is None else reply[0] or None


def _outcome(reply: Reply | None) -> bool | None:
    """Whether the act happened, None where that is unknown; 408 keeps of a chunk what had arrived."""
    if reply is None or reply[0] >= 500 or reply[0] == 408:
        return None
    return 200 <= reply[0] < 300
