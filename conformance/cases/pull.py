"""Pulling manifests and blobs, and asking whether they exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group
from conformance.content import OCI_IMAGE, OCI_INDEX, unknown_digest
from conformance.target import media_type_of

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("pull")
_headers_case = in_group("digest-headers")

_ACCEPT = f"{OCI_IMAGE}, {OCI_INDEX}, */*;q=0.1"


def manifest(target: Target, method: str, reference: str) -> Reply:
    """Read a manifest of the sample."""
    path = f"/v2/{target.sample().repository}/manifests/{reference}"
    return expect.status(target.client.request(method, path, headers={"Accept": _ACCEPT}), 200)


def blob(target: Target, method: str, **headers: str) -> Reply:
    """Read the blob of the sample."""
    sample = target.sample()
    return target.client.request(method, f"/v2/{sample.repository}/blobs/{sample.blob_digest}", headers=headers)


@case("Determining Support", "end-1", MUST, reads=True)
def version_check(target: Target) -> None:
    """GET /v2/ tells that the registry speaks the protocol."""
    expect.status(target.client.request("GET", "/v2/"), 200)


@case("Pulling manifests", "end-3", MUST, reads=True)
def pull_manifest_by_digest(target: Target) -> None:
    """A manifest is pulled by its digest."""
    sample = target.sample()
    expect.body(manifest(target, "GET", sample.digest), sample.manifest.body)


@case("Pulling manifests", "end-3", MUST, reads=True)
def pull_manifest_by_tag(target: Target) -> None:
    """A manifest is pulled by a tag."""
    sample = target.sample()
    for reference in sample.tags:
        expect.body(manifest(target, "GET", reference), sample.manifest.body)


@case("Pulling manifests", "end-3", SHOULD, reads=True)
def manifest_content_type(target: Target) -> None:
    """A manifest is served under the type that it was pushed with."""
    sample = target.sample()
    for reference in sample.references:
        for method in ("GET", "HEAD"):
            reply = manifest(target, method, reference)
            expect.equal("Content-Type", media_type_of(reply), sample.manifest.media_type)


@case("Pulling manifests", "end-3", SHOULD, reads=True)
def manifest_content_type_has_no_parameters(target: Target) -> None:
    """The Content-Type of a manifest has no parameters."""
    sample = target.sample()
    expect.header(manifest(target, "GET", sample.digest), "Content-Type", sample.manifest.media_type)


@case("Pulling manifests", "end-3", MUST, reads=True)
def pull_manifest_unknown_digest(target: Target) -> None:
    """A digest that the repository does not have is answered with 404."""
    expect.status(target.client.request("GET", f"/v2/{target.sample().repository}/manifests/{unknown_digest()}"), 404)


@case("Pulling manifests", "end-3", MUST, reads=True)
def pull_manifest_unknown_tag(target: Target) -> None:
    """A tag that the repository does not have is answered with 404."""
    expect.status(target.client.request("GET", f"/v2/{target.sample().repository}/manifests/no-such-tag"), 404)


@case("Pushing Manifests", "end-3", MUST, reads=True)
def pull_unknown_repository(target: Target) -> None:
    """Pulling from a repository that does not exist is answered with 404."""
    expect.status(target.get("manifests/latest"), 404)
    expect.status(target.get(f"manifests/{unknown_digest()}"), 404)
    expect.status(target.get(f"blobs/{unknown_digest()}"), 404)


@case("Pulling blobs", "end-2", MUST, reads=True)
def pull_blob(target: Target) -> None:
    """A blob is pulled by its digest."""
    expect.body(expect.status(blob(target, "GET"), 200), target.sample().blob)


@case("Pulling blobs", "end-2", MUST, reads=True)
def pull_blob_unknown(target: Target) -> None:
    """A blob that the repository does not have is answered with 404."""
    expect.status(target.client.request("GET", f"/v2/{target.sample().repository}/blobs/{unknown_digest()}"), 404)


@case("Checking if content exists in the registry", "end-3", MUST, reads=True)
def head_manifest(target: Target) -> None:
    """HEAD of a manifest by tag and by digest tells that it is there, and its size."""
    sample = target.sample()
    for reference in sample.references:
        expect.header(manifest(target, "HEAD", reference), "Content-Length", str(len(sample.manifest.body)))


@case("Checking if content exists in the registry", "end-3", MUST, reads=True)
def head_manifest_unknown(target: Target) -> None:
    """HEAD of a manifest that is not there is answered with 404."""
    for reference in (unknown_digest(), "no-such-tag"):
        expect.status(target.client.request("HEAD", f"/v2/{target.sample().repository}/manifests/{reference}"), 404)


@case("Checking if content exists in the registry", "end-2", MUST, reads=True)
def head_blob(target: Target) -> None:
    """HEAD of a blob tells that it is there, and its size."""
    expect.header(expect.status(blob(target, "HEAD"), 200), "Content-Length", str(len(target.sample().blob)))


@case("Checking if content exists in the registry", "end-2", MUST, reads=True)
def head_blob_unknown(target: Target) -> None:
    """HEAD of a blob that is not there is answered with 404."""
    expect.status(target.client.request("HEAD", f"/v2/{target.sample().repository}/blobs/{unknown_digest()}"), 404)


@case("RFC 9110 (section 13.1.2)", "end-3", MAY, reads=True)
def pull_unchanged_manifest(target: Target) -> None:
    """Who has a manifest already, by its ETag, is told 304 and sent nothing."""
    sample = target.sample()
    etag = manifest(target, "GET", sample.digest).header("etag")
    if etag is None:
        raise Skipped("the registry sends no ETag")
    path = f"/v2/{sample.repository}/manifests/{sample.digest}"
    reply = target.client.request("GET", path, headers={"Accept": _ACCEPT, "If-None-Match": etag})
    expect.body(expect.status(reply, 304), b"")


@case("Registry Proxying", "end-3", MAY, reads=True)
def pull_with_ns_parameter(target: Target) -> None:
    """The parameter ns does no harm; a registry that uses it says so in OCI-Namespace."""
    sample = target.sample()
    path = f"/v2/{sample.repository}/manifests/{sample.digest}?ns=registry.example.org"
    reply = target.client.request("GET", path, headers={"Accept": _ACCEPT})
    if reply.header("oci-namespace") is None:
        expect.body(expect.status(reply, 200), sample.manifest.body)
    else:
        expect.header(reply, "OCI-Namespace", "registry.example.org")


@_headers_case("Pulling manifests", "end-3", MUST, reads=True)
def manifest_digest_header(target: Target) -> None:
    """GET of a manifest has its digest in Docker-Content-Digest."""
    sample = target.sample()
    for reference in sample.references:
        expect.header(manifest(target, "GET", reference), "Docker-Content-Digest", *sample.digests)


@_headers_case("Checking if content exists in the registry", "end-3", MUST, reads=True)
def head_manifest_digest_header(target: Target) -> None:
    """HEAD of a manifest has its digest in Docker-Content-Digest."""
    sample = target.sample()
    for reference in sample.references:
        expect.header(manifest(target, "HEAD", reference), "Docker-Content-Digest", *sample.digests)


@_headers_case("Pulling blobs", "end-2", MUST, reads=True)
def blob_digest_header(target: Target) -> None:
    """GET of a blob has its digest in Docker-Content-Digest."""
    expect.header(blob(target, "GET"), "Docker-Content-Digest", target.sample().blob_digest)


@_headers_case("Checking if content exists in the registry", "end-2", MUST, reads=True)
def head_blob_digest_header(target: Target) -> None:
    """HEAD of a blob has its digest in Docker-Content-Digest."""
    expect.header(blob(target, "HEAD"), "Docker-Content-Digest", target.sample().blob_digest)
