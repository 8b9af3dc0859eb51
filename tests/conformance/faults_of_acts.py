"""Faults with uploads, listings, deletes, errors and connections, and the cases that each has to break."""

from __future__ import annotations

from tests.conformance.broken import Fault
from tests.conformance.rules import (
    always,
    both,
    early,
    entries,
    error_body,
    error_code,
    field,
    header,
    ignores_header,
    ignores_parameter,
    late,
    never_comes_back,
    path_has,
    status,
    without,
)

_REFERRERS = (
    "referrers-of-sample no-referrers referrers-content-type referrers-of-unknown-subject referrer-is-listed "
    "referrer-annotations artifact-type-of-config index-as-referrer index-without-artifact-type "
    "referrers-of-one-repository referrers-filtered referrers-filtered-to-none referrers-in-pages deleted-referrer "
    "fallback-tag referrer-of-missing-subject sha512-subject referrers-pushed-at-once"
)

ACTS = (
    # uploads
    Fault(
        "a wrong Range after a chunk",
        "single-chunk several-chunks last-chunk-in-put chunk-without-content-range chunk-in-chunked-encoding "
        "sha512-chunks",
        late=late("PATCH", "upload", header("range", "0-4711"), 202),
    ),
    Fault(
        "no Location after a chunk",
        "single-chunk several-chunks last-chunk-in-put chunk-without-content-range",
        late=late("PATCH", "upload", without("location"), 202),
    ),
    Fault(
        "the order of chunks is ignored",
        "chunk-out-of-order first-chunk-not-at-zero chunk-repeated last-chunk-out-of-order true-offset-after-416 "
        "content-range-with-bad-syntax content-range-contradicts-length",
        ignores_header("content-range"),
    ),
    Fault(
        "a chunk is never refused",
        "chunk-out-of-order first-chunk-not-at-zero chunk-repeated true-offset-after-416 same-chunk-at-once",
        late=late("PATCH", "upload", status(202), 409, 416),
    ),
    Fault(
        "a wrong offset in the status",
        "true-offset-after-416 upload-status same-chunk-at-once cut-chunk-is-continued "
        "restart-in-the-middle-of-an-upload",
        late=late("GET", "upload", header("range", "0-4711"), 204),
    ),
    Fault("the status is 200", "upload-status", late=late("GET", "upload", status(200), 204)),
    Fault("a restart forgets sessions", "restart-in-the-middle-of-an-upload", early("GET", "upload", always(404))),
    Fault(
        "closed sessions have a status", "unknown-upload cancel-upload", late=late("GET", "upload", status(204), 404)
    ),
    Fault("closed sessions take chunks", "code-of-unknown-upload", late=late("PATCH", "upload", status(202), 404)),
    Fault("cancelling is forbidden", "cancel-upload cancel-unknown-upload", early("DELETE", "upload", always(405))),
    Fault("cancelling does nothing", "cancel-upload cancel-unknown-upload", early("DELETE", "upload", always(204))),
    Fault(
        "a mount links nothing",
        "mount-blob mount-anonymously mount-missing-blob mount-from-unknown-repository",
        early("POST", "uploads", always(201, location="/v2/a/blobs/x"), lambda request: "mount" in request.query),
    ),
    Fault(
        "digests are not compared",
        "wrong-digest-in-put wrong-digest-of-chunks bad-digest-in-put unsupported-algorithm put-without-digest "
        "code-of-wrong-digest",
        late=late("PUT", "upload", status(201), 400),
    ),
    Fault(
        "a POST is never refused",
        "wrong-digest-in-single-post unknown-algorithm code-of-bad-name",
        late=late("POST", "uploads", status(201), 400),
    ),
    Fault(
        "bad digests are a fault",
        "pull-blob-with-bad-digest pull-manifest-with-bad-digest referrers-of-bad-digest",
        late=both(
            late("GET", "blob", status(500), 400),
            late("GET", "manifest", status(500), 400),
            late("GET", "referrers", status(500), 400),
        ),
    ),
    Fault("sha512 blobs are lost", "sha512-blob sha512-chunks", early("GET", "blob", always(404), path_has("sha512:"))),
    Fault("sha512 manifests are lost", "sha512-manifest", early("GET", "manifest", always(404), path_has("sha512:"))),
    # listings
    Fault(
        "a tag is lost",
        "sample-is-listed list-tags tags-pushed-at-once deleted-tag-is-not-listed",
        late=late("GET", "tags", field("tags", lambda tags: tags[1:]), 200),
    ),
    Fault(
        "tags are not sorted", "tags-are-sorted", late=late("GET", "tags", field("tags", lambda tags: tags[::-1]), 200)
    ),
    Fault("a list has another name", "list-tags", late=late("GET", "tags", field("name", lambda _: "other"), 200)),
    Fault(
        "no tags, no list",
        "list-without-tags",
        late=late("GET", "tags", lambda answer: status(404 if b"[]" in answer.body else 200)(answer)),
    ),
    Fault(
        "n is ignored",
        "tags-limited no-tags-with-n-zero tags-limited-after-last",
        ignores_parameter("n", "tags"),
    ),
    Fault(
        "last is ignored", "tags-after-last tags-limited-after-last tags-in-pages", ignores_parameter("last", "tags")
    ),
    Fault(
        "a Link of another kind",
        "tags-in-pages",
        late=late("GET", "tags", header("link", "</v2/>; rel=previous")),
    ),
    Fault("no repository is unknown", "tags-of-unknown-repository", late=late("GET", "tags", status(200), 404)),
    Fault("no referrers", _REFERRERS, early("GET", "referrers", always(404))),
    Fault(
        "referrers are plain JSON",
        "referrers-content-type referrers-of-sample",
        late=late("GET", "referrers", header("content-type", "application/json")),
    ),
    Fault(
        "an entry has no artifactType",
        "referrer-is-listed artifact-type-of-config index-as-referrer",
        late=late("GET", "referrers", entries(lambda entry: {**entry, "artifactType": None}), 200),
    ),
    Fault(
        "an entry has a made-up artifactType",
        "index-without-artifact-type",
        late=late("GET", "referrers", entries(lambda entry: {"artifactType": "", **entry}), 200),
    ),
    Fault(
        "an entry has no annotations",
        "referrer-annotations",
        late=late("GET", "referrers", entries(lambda entry: {**entry, "annotations": None}), 200),
    ),
    Fault(
        "a referrer is lost",
        "referrer-is-listed referrer-of-missing-subject referrers-pushed-at-once sha512-subject fallback-tag",
        late=late("GET", "referrers", field("manifests", lambda listed: listed[1:]), 200),
    ),
    Fault(
        "a referrer of another repository",
        "no-referrers referrers-of-unknown-subject referrers-of-one-repository referrers-filtered-to-none "
        "deleted-referrer",
        late=late("GET", "referrers", field("manifests", lambda listed: [*listed, {"digest": "sha256:0"}]), 200),
    ),
    Fault(
        "the filter is not applied",
        "referrers-filtered referrers-filtered-to-none",
        ignores_parameter("artifactType", "referrers"),
    ),
    Fault("Link is missing", "referrers-in-pages", late=late("GET", "referrers", without("link"))),
    Fault("OCI-Subject is missing", "subject-header", late=late("PUT", "manifest", without("oci-subject"))),
    Fault(
        "a subject has to be there",
        "missing-subject referrer-of-missing-subject index-with-subject",
        early("PUT", "manifest", always(404), lambda request: b'"subject"' in request.body),
    ),
    # deletes
    Fault(
        "nothing is deleted",
        "delete-tag deleted-tag-is-not-listed delete-manifest delete-unknown-tag delete-unknown-manifest "
        "delete-in-unknown-repository deleted-referrer",
        early("DELETE", "manifest", always(202)),
    ),
    Fault(
        "what is unknown is not deleted, as if nothing were",
        "delete-in-unknown-repository delete-unknown-blob",
        late=both(
            late("DELETE", "manifest", status(400), 404),
            late("DELETE", "blob", status(405), 404),
        ),
    ),
    Fault(
        "no blob is deleted",
        "delete-blob delete-unknown-blob delete-blob-in-one-repository",
        early("DELETE", "blob", always(202)),
    ),
    Fault(
        "what was deleted never comes back",
        "manifest-pushed-after-delete blob-pushed-after-delete",
        never_comes_back(),
    ),
    # errors and connections
    Fault("errors of another form", "error-bodies", late=error_body({"error": "wrong"})),
    Fault("errors with unknown codes", "error-bodies", late=error_code("OTHER")),
    Fault(
        "one code for all",
        "code-of-unknown-blob code-of-unknown-manifest code-of-unknown-repository code-of-wrong-digest "
        "code-of-unknown-upload code-of-bad-manifest code-of-missing-blob sparse-image sparse-index",
        late=error_code("UNSUPPORTED"),
    ),
    Fault("405 without Allow", "unknown-method", late=late("POST PATCH", "manifest", without("allow"))),
    Fault("a bad Warning", "warnings", late=late("GET", "version", header("warning", "299 - no quotes"))),
    Fault("429 without Retry-After", "retry-after", early("GET", "version", always(429))),
    Fault("401 without a challenge", "challenges", early("GET", "version", always(401))),
    Fault("an early answer and a dead connection", "early-answer-to-large-body", connection="early"),
    Fault("a cut PUT locks its session", "cut-put-is-sent-again", connection="locked"),
    Fault("HEAD has a body", "head-has-no-body", connection="head"),
)
