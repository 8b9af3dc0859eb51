"""Faults with manifests and blobs, and the cases that each has to break."""

from __future__ import annotations

from conformance.content import digest_of
from tests.conformance.broken import Fault
from tests.conformance.rules import (
    always,
    body,
    body_over,
    both,
    digest_is,
    early,
    header,
    ignores_header,
    late,
    path_has,
    second_time,
    shared_blobs,
    status,
    without,
)

_FORMATS = (
    "image-manifest image-index nested-index empty-index image-without-layers artifact-manifest "
    "artifact-without-layers artifact-index data-field non-distributable-layers custom-fields docker-image "
    "docker-manifest-list"
)
CONTENT = (
    Fault("no version check", "version-check", late=late("GET", "version", status(404))),
    # manifests
    Fault(
        "a manifest gets a byte more",
        f"pull-manifest-by-digest pull-manifest-by-tag push-manifest-by-tag push-manifest-by-digest "
        f"manifest-bytes-are-kept manifest-pushed-twice tag-moves tag-names large-manifest nothing-is-converted "
        f"one-connection-for-many-requests restart-after-a-push delete-tag "
        f"index-with-subject missing-subject {_FORMATS}",
        late=late("GET", "manifest", body(lambda content: content + b" "), 200),
    ),
    Fault(
        "a manifest is what nobody pushed, there or not",
        "tag-pushed-and-deleted-at-once",
        late=both(
            late("GET", "manifest", body(lambda content: content + b" "), 200),
            late("GET", "manifest", status(200), 404),
        ),
    ),
    Fault(
        "manifests are serialised anew",
        "manifest-bytes-are-kept",
        late=late("GET", "manifest", lambda answer: answer.change_json(lambda document: document), 200),
    ),
    Fault(
        "another type of manifest",
        "manifest-content-type nothing-is-converted",
        late=late("GET HEAD", "manifest", header("content-type", "application/json")),
    ),
    Fault(
        "a type with parameters",
        "manifest-content-type-has-no-parameters content-type-parameters",
        late=late("GET HEAD", "manifest", header("content-type", "application/vnd.oci.image.manifest.v1+json; a=b")),
    ),
    Fault(
        "no manifest is unknown",
        "pull-manifest-unknown-digest pull-manifest-unknown-tag head-manifest-unknown pull-unknown-repository "
        "code-of-unknown-manifest delete-manifest",
        late=late("GET HEAD", "manifest", status(200), 404),
    ),
    Fault(
        "no blob is unknown",
        "pull-blob-unknown head-blob-unknown code-of-unknown-blob cut-put-is-sent-again delete-blob",
        late=late("GET HEAD", "blob", status(200), 404),
    ),
    Fault(
        "HEAD of a manifest has no length", "head-manifest", late=late("HEAD", "manifest", without("content-length"))
    ),
    Fault("HEAD of a blob has a wrong length", "head-blob", late=late("HEAD", "blob", header("content-length", "7"))),
    Fault(
        "a wrong digest header",
        "manifest-digest-header blob-digest-header sha512-digest-header nothing-is-converted",
        late=both(
            late("GET", "manifest", header("docker-content-digest", digest_of(b"other"))),
            late("GET", "blob", header("docker-content-digest", digest_of(b"other"))),
        ),
    ),
    Fault(
        "HEAD has no digest header",
        "head-manifest-digest-header head-blob-digest-header",
        late=both(
            late("HEAD", "manifest", without("docker-content-digest")),
            late("HEAD", "blob", without("docker-content-digest")),
        ),
    ),
    Fault(
        "a push is told another digest",
        "push-digest-header",
        late=late("PUT", "manifest", header("docker-content-digest", digest_of(b"other"))),
    ),
    Fault("If-None-Match is ignored", "pull-unchanged-manifest", ignores_header("if-none-match")),
    Fault(
        "ns is refused",
        "pull-with-ns-parameter",
        early("GET", "manifest", always(400), lambda request: "ns" in request.query),
    ),
    Fault(
        "a manifest has no Location",
        "push-manifest-by-tag push-manifest-by-digest",
        late=late("PUT", "manifest", without("location")),
    ),
    Fault(
        "a manifest is pushed only once",
        "manifest-pushed-twice",
        second_time("PUT", "manifest", 409, lambda request: request.path),
    ),
    Fault("a condition is another error", "conditional-push", late=late("PUT", "manifest", status(409), 412)),
    Fault("a tag never moves", "tag-moves", second_time("PUT", "manifest", 201, lambda request: request.path)),
    Fault(
        "long tags are refused",
        "tag-names",
        early("PUT", "manifest", always(400), lambda request: len(request.path.rpartition("/")[2]) > 100),
    ),
    Fault("large manifests are refused", "large-manifest", early("PUT", "manifest", always(413), body_over(1 << 20))),
    Fault("400 instead of 413", "manifest-over-the-limit", late=late("PUT", "manifest", status(400), 413)),
    Fault(
        "OCI-Tag is missing",
        "tag-parameters ten-tag-parameters tag-parameters-with-sha512",
        late=late("PUT", "manifest", without("oci-tag")),
    ),
    Fault(
        "many tags are a fault",
        "too-many-tag-parameters",
        early("PUT", "manifest", always(500), lambda request: len(request.query.get("tag", ())) > 100),
    ),
    Fault(
        "foreign layers are missed",
        "non-distributable-layers",
        early("PUT", "manifest", always(404), lambda request: b"nondistributable" in request.body),
    ),
    Fault(
        "bad manifests are taken",
        "manifest-with-wrong-digest manifest-with-bad-digest sha512-wrong-digest code-of-bad-manifest bad-tag "
        "type-contradicts-media-type image-with-manifests index-with-layers",
        late=late("PUT", "manifest", status(201), 400),
    ),
    # blobs
    Fault(
        "a blob is cut short",
        "pull-blob push-post-then-put push-single-post push-blob-twice push-empty-json push-large-blob "
        "push-without-length push-after-100-continue single-chunk several-chunks mount-blob mount-anonymously "
        "mount-missing-blob mount-from-unknown-repository blob-pushed-after-delete sha512-blob "
        "same-blob-from-100-clients restart-after-a-push delete-blob-in-one-repository resume-pull",
        late=late("GET", "blob", body(lambda content: content[:-1]), 200, 206),
    ),
    Fault(
        "ranges are ignored",
        "range-in-the-middle range-to-the-end range-of-the-last-bytes range-past-the-end range-outside resume-pull",
        ignores_header("range"),
    ),
    Fault(
        "a wrong Content-Range",
        "range-in-the-middle range-to-the-end range-of-the-last-bytes range-past-the-end range-outside",
        late=late("GET", "blob", header("content-range", "bytes 0-0/1")),
    ),
    Fault(
        "a reversed range is a part",
        "range-reversed",
        early("GET", "blob", always(206), lambda request: request.headers.get("Range") == "bytes=500-0"),
    ),
    Fault(
        "unknown units are refused",
        "range-of-unknown-unit",
        early("GET", "blob", always(416), lambda request: request.headers.get("Range", "").startswith("pages")),
    ),
    Fault("If-Range is ignored", "range-if-unchanged", ignores_header("if-range")),
    Fault("a session has no Location", "open-session", late=late("POST", "uploads", without("location"))),
    Fault(
        "all sessions are one",
        "open-session",
        late=late("POST", "uploads", header("location", "/v2/a/blobs/uploads/always-the-same-one")),
    ),
    Fault(
        "a blob has no Location",
        "push-post-then-put single-chunk",
        late=late("PUT", "upload", without("location")),
    ),
    Fault(
        "a single POST pushes nothing",
        "push-single-post",
        early("POST", "uploads", always(201, location="/v2/a/blobs/x"), lambda request: "digest" in request.query),
    ),
    Fault(
        "a blob is pushed only once",
        "push-blob-twice same-blob-from-100-clients",
        second_time("PUT", "upload", 409, lambda request: request.query["digest"][0]),
    ),
    Fault("empty blobs are refused", "push-empty-blob", early("PUT", "upload", always(400), digest_is(b""))),
    Fault("{} is refused", "push-empty-json artifact-manifest", early("PUT", "upload", always(400), digest_is(b"{}"))),
    Fault("large blobs are refused", "push-large-blob", early("PUT", "upload", always(413), body_over(4 << 20))),
    Fault(
        "a length is required",
        "push-without-length chunk-in-chunked-encoding",
        early("PUT PATCH", "upload", always(411), lambda request: "Content-Length" not in request.headers),
    ),
    Fault("no 100 Continue", "push-after-100-continue", connection="expect"),
    Fault("some names are refused", "repository-names", early("PUT", "upload", always(404), path_has("/a__b/"))),
    Fault(
        "blobs of some names are lost",
        "repository-names names-like-end-points",
        early("GET", "blob", always(404), lambda request: "/a__b/" in request.path or "/uploads/y/" in request.path),
    ),
    Fault(
        "a blob is everybody's",
        "blob-of-another-repository delete-blob",
        late=shared_blobs(),
    ),
)
