"""Error codes and bodies, and the headers Warning and Retry-After."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MUST, SHOULD, Skipped, in_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("errors")
_SECTION = "Error Codes"
_WARNING = re.compile(r'299 - "(?:[^"\\]|\\.)*"')
_WARNING_LIMIT_BYTES = 4096


def _mistakes(target: Target) -> Iterator[Reply]:
    """One request for each common mistake."""
    target.push(content.image(), "known")
    yield target.get(f"blobs/{content.unknown_digest()}")
    yield target.get("manifests/unknown")
    yield target.get("manifests/sha256:short")
    yield target.client.request("GET", f"/v2/{target.other_repository}/tags/list")
    yield target.client.request("POST", f"/v2/{target.repository}/UPPER/blobs/uploads/")
    yield target.client.request("PUT", f"/v2/{target.repository}/manifests/bad", b"{")
    yield target.close_upload(target.open_upload().location(), content.unknown_digest(), b"content")


@case(_SECTION, "", MUST)
def error_bodies(target: Target) -> None:
    """A JSON body of a refusal has the format of the spec, with codes that it knows.

    What is not refused, or is a fault (5xx), has no such body: the section is about "a `4XX` response code".
    """
    for reply in _mistakes(target):
        if 400 <= reply.status < 500:
            expect.error_codes(reply)


@case(_SECTION, "end-2", SHOULD)
def code_of_unknown_blob(target: Target) -> None:
    """BLOB_UNKNOWN where the repository does not have the blob."""
    target.push(content.image())
    expect.code(expect.refused(target.get(f"blobs/{content.unknown_digest()}")), {"BLOB_UNKNOWN"})


@case(_SECTION, "end-3", SHOULD)
def code_of_unknown_manifest(target: Target) -> None:
    """MANIFEST_UNKNOWN where the repository does not have the manifest."""
    target.push(content.image())
    for reference in ("unknown", content.unknown_digest()):
        expect.code(expect.refused(target.get(f"manifests/{reference}")), {"MANIFEST_UNKNOWN"})


@case(_SECTION, "end-8a", SHOULD)
def code_of_unknown_repository(target: Target) -> None:
    """NAME_UNKNOWN for the tags of a repository that does not exist."""
    reply = target.get("tags/list")
    if reply.status == 200:
        raise Skipped("the registry finds a repository of any name")
    expect.code(expect.refused(reply), {"NAME_UNKNOWN"})


@case(_SECTION, "end-4a", SHOULD)
def code_of_bad_name(target: Target) -> None:
    """A name that the spec does not allow is refused; NAME_INVALID."""
    for name in ("UPPER", "a..b", "-a", "a___b"):
        reply = target.client.request("POST", f"/v2/{target.repository}/{name}/blobs/uploads/")
        expect.code(expect.refused(reply), {"NAME_INVALID", "NAME_UNKNOWN", "UNSUPPORTED"})


@case(_SECTION, "end-6", SHOULD)
def code_of_wrong_digest(target: Target) -> None:
    """DIGEST_INVALID where the content has another digest."""
    reply = target.close_upload(target.open_upload().location(), content.unknown_digest(), b"content")
    expect.code(expect.refused(reply), {"DIGEST_INVALID"})


@case(_SECTION, "end-5", SHOULD)
def code_of_unknown_upload(target: Target) -> None:
    """BLOB_UPLOAD_UNKNOWN for a session that was closed."""
    location = target.open_upload().location()
    expect.status(target.close_upload(location, content.digest_of(b"content"), b"content"), 201)
    expect.code(expect.status(target.patch(location, b"more", 0), 404), {"BLOB_UPLOAD_UNKNOWN"})


@case(_SECTION, "end-7a", SHOULD)
def code_of_bad_manifest(target: Target) -> None:
    """What is no manifest is refused; MANIFEST_INVALID."""
    for body in (b"", b"{", b"[]", b'"text"', b'{"schemaVersion": 2, "config": 5, "layers": {}}'):
        headers = {"Content-Type": content.OCI_IMAGE}
        reply = target.client.request("PUT", f"/v2/{target.repository}/manifests/bad", body, headers)
        expect.code(expect.refused(reply), {"MANIFEST_INVALID"})
    target.no_manifest("bad")


@case("Push", "end-7a", MUST)
def code_of_missing_blob(target: Target) -> None:
    """A manifest that is refused because a blob is missing has MANIFEST_BLOB_UNKNOWN."""
    reply = target.put_manifest(content.image(), "missing")
    if reply.status != 201:
        expect.equal("error codes", set(expect.error_codes(expect.refused(reply))), {"MANIFEST_BLOB_UNKNOWN"})


@case("Pulling manifests", "end-7a", MUST)
def bad_tag(target: Target) -> None:
    """A tag that the spec does not allow is refused."""
    image = target.push(content.image())
    for tag in ("a" * 129, ".dot", "-dash", "a+b"):
        expect.refused(target.put_manifest(image, tag))


@case("RFC 9110 (section 15.5.6)", "end-2", MUST)
def unknown_method(target: Target) -> None:
    """A method that an end point does not have is refused; 405 says in Allow which it has."""
    for method in ("POST", "PATCH"):
        reply = expect.refused(target.client.request(method, f"/v2/{target.repository}/manifests/latest", b"x"))
        expect.holds(reply.status != 405 or reply.header("allow"), "Allow with status 405", reply.headers)


@case("Warnings", "", MUST)
def warnings(target: Target) -> None:
    """Every Warning header of the run has the form of the spec, and no answer more than 4096 bytes of them."""
    target.client.request("GET", "/v2/")
    for headers in _all_answers(target, lambda _: True):
        values = [value for name, value in headers if name == "warning"]
        expect.holds(all(map(_WARNING.fullmatch, values)), 'Warning: 299 - "text"', values)
        expect.holds(sum(map(len, values)) <= _WARNING_LIMIT_BYTES, "at most 4096 bytes of warnings", values)


@case(_SECTION, "", SHOULD)
def retry_after(target: Target) -> None:
    """Every 429 of the run says in Retry-After when to come again."""
    target.client.request("GET", "/v2/")
    for headers in _all_answers(target, lambda status: status == 429):
        expect.holds(any(name == "retry-after" for name, _ in headers), "Retry-After with 429", headers)


@case("RFC 9110 (section 15.5.2)", "end-1", MUST)
def challenges(target: Target) -> None:
    """Every 401 of the run says in WWW-Authenticate how to log in."""
    target.client.request("GET", "/v2/")
    for headers in _all_answers(target, lambda status: status == 401):
        expect.holds(any(name == "www-authenticate" for name, _ in headers), "WWW-Authenticate with 401", headers)


def _all_answers(target: Target, wanted: Callable[[int], bool]) -> Iterator[tuple[tuple[str, str], ...]]:
    """The headers of the answers of this and all earlier cases."""
    for exchange in (*target.shared.exchanges, *target.client.exchanges):
        if exchange.answer and wanted(exchange.answer.status):
            yield exchange.answer.headers
