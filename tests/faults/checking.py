"""Asking a daemon for every fact of one repository."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

from tests.faults.facts import Names, describe, first_difference
from tests.tools.content import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.facts import Repository, Session
    from tests.faults.ledger import Ledger, Reply

_TAIL = b"what comes after a fault"
"""Appended to each upload that is resumed."""


class Check:
    """One pass over one repository, on one connection."""

    def __init__(self, ledger: Ledger, port: int, repository: Repository) -> None:
        self._ledger = ledger
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._repository = repository
        self._sentences: list[str] = []
        self._published: set[str] = set()

    def run(self, *, close_uploads: bool) -> list[str]:
        """What is lost or wrong, one sentence each."""
        try:
            self._check_blobs()
            self._check_names()
            self._check_sessions(close_uploads=close_uploads)
        except (OSError, http.client.HTTPException) as error:
            self._say(f"the daemon does not answer any more: {error!r}")
        finally:
            self._connection.close()
        return self._sentences

    def _check_blobs(self) -> None:
        for digest, fact in self._repository.blobs.items():
            status, _, body = self._ask("GET", f"blobs/{digest}")
            if status not in {200, 404}:
                self._say(f"blob {digest} is answered with {describe((status, {}, body))}")
                continue
            possible = fact.possible
            if not fact.observe(status == 200):
                wanted = "acknowledged" if True in possible else "deleted, or never pushed,"
                self._say(f"blob {digest} was {wanted} and is answered with {describe((status, {}, body[:120]))}")
            if status == 200 and body != self._ledger.content(digest):
                self._say(f"blob {digest}: {first_difference(self._ledger.content(digest), body)}")
            if status == 200:
                self._published.add(digest)

    def _check_names(self) -> None:
        tags = {tag: digest for tag in self._tags() if (digest := self._manifest(tag)) is not None}
        held = {digest for digest in self._repository.manifests if self._manifest(digest) == digest}
        seen = Names(frozenset(held), frozenset(tags.items()))
        possible = self._repository.names.possible
        if not self._repository.names.observe(seen):
            nearest = min((names.differences(seen) for names in possible), key=len)
            also = "" if len(possible) == 1 else f" (nearest of {len(possible)} states that would be right)"
            for sentence in nearest:
                self._say(sentence + also)

    def _tags(self) -> set[str]:
        """Every tag that was ever pushed, and those that are listed; both ways have to tell the same."""
        status, _, body = self._ask("GET", "tags/list")
        listed = set(json.loads(body)["tags"]) if status == 200 else set()
        if status not in {200, 404}:
            self._say(f"the list of tags is answered with {status} {body[:120]!r}")
        tags = self._repository.tags | listed
        answered = {tag for tag in tags if self._ask("GET", f"manifests/{tag}")[0] == 200}
        for tag in listed ^ answered:
            self._say(f"tag {tag} is {'listed, but not answered' if tag in listed else 'answered, but not listed'}")
        return listed | answered

    def _manifest(self, reference: str) -> str | None:
        """The digest of what is answered, None for 404."""
        status, headers, body = self._ask("GET", f"manifests/{reference}")
        if status == 404:
            return None
        digest = digest_of(body)
        if status != 200 or headers.get("docker-content-digest") != digest:
            self._say(f"manifest {reference} is answered with {describe((status, headers, body))}")
        return digest

    def _check_sessions(self, *, close_uploads: bool) -> None:
        for session in self._repository.sessions:
            status, headers, body = self._request("GET", session.location)
            if status == 404:
                if not session.may_be_gone:
                    self._say(f"upload {session.location} is not known; {session.offset} bytes were acknowledged")
                session.ended = session.ended or "404"
            elif status != 204:
                self._say(f"upload {session.location} is answered with {describe((status, headers, body))}")
            elif self._is_rightly_open(session, headers["range"]) and close_uploads:
                self._close(session)
        self._repository.sessions = [session for session in self._repository.sessions if session.ended is None]

    def _is_rightly_open(self, session: Session, header: str) -> bool:
        """Whether the session may be open, and stands between what was acknowledged and what was sent."""
        if session.ended == "404":
            return False  # a crash took its file while it was published: it is not to be resumed, and expires
        if session.ended is not None:
            self._say(f"upload {session.location} is still open, and was ended by {session.ended}")
            return False
        if session.closing in self._published and session.closing_told:
            self._say(f"upload {session.location} is still open, and its blob {session.closing} is there")
        session.cancelling = session.closing_told = False
        offset = int(header.removeprefix("0-")) + 1
        if offset == 1 and session.offset == 0:
            offset = self._offset_of_short(session)
        if not session.offset <= offset <= len(session.sent):
            self._say(
                f"upload {session.location} is at {offset}; {session.offset} bytes were acknowledged,"
                f" {len(session.sent)} sent"
            )
            session.ended = "a wrong offset"
            return False
        session.offset, session.sent = offset, session.sent[:offset]
        return True

    def _offset_of_short(self, session: Session) -> int:
        """The range ``0-0`` is said of no bytes and of one byte; the answer to a chunk from far ahead tells which."""
        if not session.sent:
            return 0
        far = len(session.sent) + 1
        _, _, body = self._request("PATCH", session.location, b"?", {"Content-Range": f"{far}-{far}"})
        return int(json.loads(body)["errors"][0]["detail"]["offset"])

    def _close(self, session: Session) -> None:
        """Go on with an upload up to its end, which hashes every byte of it again."""
        may_be_gone = session.may_be_gone
        status = self._ledger.append(session, _TAIL)
        if status == 404 and may_be_gone:
            self._push_again(session)
            return
        if status == 202:
            status = self._ledger.finish(session)
        if status != 201:
            self._say(f"upload {session.location} can't be resumed at {session.offset}: {status}")
            session.ended = "a failure"
            return
        self._check_content(digest_of(session.sent))

    def _push_again(self, session: Session) -> None:
        """A crash took the file of an upload that was about to be published: pushing the blob again has to succeed."""
        assert session.closing is not None
        algorithm, _, _ = session.closing.partition(":")
        status = self._ledger.push(session.name, self._ledger.content(session.closing), algorithm)
        if status != 201:
            self._say(f"blob {session.closing} can't be pushed again: {status}")
        self._check_content(session.closing)

    def _check_content(self, digest: str) -> None:
        status, _, body = self._ask("GET", f"blobs/{digest}")
        if (status, body) != (200, self._ledger.content(digest)):
            self._say(
                f"blob {digest} of a resumed upload: {status}, {first_difference(self._ledger.content(digest), body)}"
            )

    def _ask(self, method: str, path: str) -> Reply:
        return self._request(method, f"/v2/{self._repository.name}/{path}")

    def _request(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        self._connection.request(method, target, body, dict(headers or {}))
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def _say(self, sentence: str) -> None:
        self._sentences.append(f"{self._repository.name}: {sentence}")
