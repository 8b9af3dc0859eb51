"""What a registry that takes no push says to one. Nothing but what the run has made itself is ever written to."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from conformance import content, expect
from conformance.case import MUST, SHOULD, Skipped, in_group
from conformance.exchange import with_query
from conformance.target import OCTETS

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

GROUP: Final = "read-only"
case = in_group(GROUP)
_SECTION = "Error Codes"
_SWITCHED_OFF = (400, 405)
"""To a DELETE the spec allows both."""


def _refuses(
    target: Target,
    method: str,
    path: str,
    body: bytes = b"",
    content_type: str = OCTETS,
    *,
    statuses: tuple[int, ...] = (405,),
    creates: tuple[str, ...] = (),
) -> None:
    """The request is refused and changes nothing; ``creates`` is what it would write, which is deleted again."""
    sample = target.sample()
    headers = {"Content-Type": content_type} if body else {}
    reply = target.client.request(method, f"/v2/{target.repository}/{path}", body, headers)
    written = [each for each in creates if target.get(each, "HEAD", Accept="*/*").status == 200]
    _clean_up(target, reply, written)
    is_forbidden = reply.status in {401, 403}
    if not is_forbidden:
        expect.status(reply, *statuses)
    expect.code(reply, {"UNAUTHORIZED", "DENIED"} if is_forbidden else {"UNSUPPORTED"})
    expect.holds(not written, "that nothing was written", ", ".join(written))
    for reference in sample.references:
        kept = target.client.request(
            "HEAD", f"/v2/{sample.repository}/manifests/{reference}", headers={"Accept": "*/*"}
        )
        expect.status(kept, 200)
    if is_forbidden:
        raise Skipped(f"{method} is answered with {reply.status}: refused to this user, whatever it is to others")


def _clean_up(target: Target, reply: Reply, written: list[str]) -> None:
    """Take back what a registry did all the same."""
    if reply.status == 202 and reply.method == "POST":
        target.client.request("DELETE", reply.location())
    for path in written:
        target.get(path, "DELETE")


def _made_up_upload() -> str:
    return f"blobs/uploads/{uuid.uuid4()}"


@case(_SECTION, "end-4a", SHOULD)
def open_session_is_refused(target: Target) -> None:
    """A POST that opens a session is answered with 405 and UNSUPPORTED."""
    _refuses(target, "POST", "blobs/uploads/")


@case(_SECTION, "end-4b", SHOULD)
def single_post_is_refused(target: Target) -> None:
    """A POST with a whole blob is answered with 405 and UNSUPPORTED, and the blob is not there."""
    blob = content.random_blob()
    digest = content.digest_of(blob)
    _refuses(target, "POST", with_query("blobs/uploads/", digest=digest), blob, creates=(f"blobs/{digest}",))


@case(_SECTION, "end-5", SHOULD)
def chunk_is_refused(target: Target) -> None:
    """A PATCH of an upload is answered with 405 and UNSUPPORTED, whether the session exists or not."""
    _refuses(target, "PATCH", _made_up_upload(), content.random_blob())


@case(_SECTION, "end-6", SHOULD)
def end_of_upload_is_refused(target: Target) -> None:
    """A PUT of an upload is answered with 405 and UNSUPPORTED, and the blob is not there."""
    blob = content.random_blob()
    digest = content.digest_of(blob)
    _refuses(target, "PUT", with_query(_made_up_upload(), digest=digest), blob, creates=(f"blobs/{digest}",))


@case(_SECTION, "end-14", SHOULD)
def cancel_is_refused(target: Target) -> None:
    """A DELETE of an upload is answered with 405 and UNSUPPORTED, whether the session exists or not."""
    _refuses(target, "DELETE", _made_up_upload())


@case(_SECTION, "end-7a", SHOULD)
def manifest_by_tag_is_refused(target: Target) -> None:
    """A PUT of a manifest under a tag is answered with 405 and UNSUPPORTED, and the tag is not there."""
    _refuses_manifest(target, "pushed")


@case(_SECTION, "end-7a", SHOULD)
def manifest_by_digest_is_refused(target: Target) -> None:
    """A PUT of a manifest by its digest is answered with 405 and UNSUPPORTED, and it is not there."""
    _refuses_manifest(target, None)


def _refuses_manifest(target: Target, tag: str | None) -> None:
    """An index of nothing needs no blobs, so that a registry which takes pushes takes this one."""
    index = content.index(annotations={"org.example.unique": uuid.uuid4().hex})
    creates = tuple(f"manifests/{reference}" for reference in (tag, index.digest) if reference)
    _refuses(target, "PUT", creates[0], index.body, index.media_type, creates=creates)


@case("Deleting tags", "end-9", MUST)
def delete_tag_is_refused(target: Target) -> None:
    """A DELETE of a tag is answered with 405 or 400 and UNSUPPORTED, whether the tag exists or not."""
    _refuses(target, "DELETE", "manifests/no-such-tag", statuses=_SWITCHED_OFF)


@case("Deleting Manifests", "end-9", MUST)
def delete_manifest_is_refused(target: Target) -> None:
    """A DELETE of a manifest is answered with 405 or 400 and UNSUPPORTED, whether it exists or not."""
    _refuses(target, "DELETE", f"manifests/{content.unknown_digest()}", statuses=_SWITCHED_OFF)


@case("Deleting Blobs", "end-10", MUST)
def delete_blob_is_refused(target: Target) -> None:
    """A DELETE of a blob is answered with 405 or 400 and UNSUPPORTED, whether it exists or not."""
    _refuses(target, "DELETE", f"blobs/{content.unknown_digest()}", statuses=_SWITCHED_OFF)
