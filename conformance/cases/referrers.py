"""Manifests with a subject, and the list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from conformance import content, expect
from conformance.case import MUST, SHOULD, in_group
from conformance.cases.tags import next_page
from conformance.content import OCI_INDEX, Manifest, artifact, image, index

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("referrers")
_subject_case = in_group("subject")
_SECTION = "Listing Referrers"
_PAGES_LIMIT = 50
_SBOM, _SIGNATURE = "application/vnd.example.sbom", "application/vnd.example.signature"


def _list(target: Target, subject: str, **query: str) -> Reply:
    path = f"referrers/{subject}?{urlencode(query)}" if query else f"referrers/{subject}"
    return expect.status(target.get(path), 200)


def _entries(reply: Reply) -> list[dict[str, Any]]:
    document = reply.json()
    entries = document.get("manifests") if isinstance(document, dict) else None
    expect.holds(isinstance(entries, list), "an index with a list of manifests", document)
    return list(entries or [])


def _expect_entry(target: Target, subject: Manifest, referrer: Manifest, **fields: Any) -> None:
    """The referrer is listed once, with these fields beside its descriptor; None is a field that must be absent."""
    entries = [each for each in _entries(_list(target, subject.digest)) if each.get("digest") == referrer.digest]
    expect.equal("entries of the referrer", len(entries), 1)
    for name, value in {**referrer.descriptor(), **fields}.items():
        expect.equal(f"{name} of the entry", entries[0].get(name), value)


def _pair(target: Target, **fields: Any) -> tuple[Manifest, Manifest]:
    """A subject, and an artifact that refers to it."""
    subject = target.push(image(), "subject")
    return subject, target.push(artifact(subject=subject.descriptor(), **fields))


@case(_SECTION, "end-12a", MUST, reads=True)
def referrers_of_sample(target: Target) -> None:
    """The referrers of a manifest are an index, empty or not."""
    sample = target.sample()
    reply = expect.status(target.client.request("GET", f"/v2/{sample.repository}/referrers/{sample.digest}"), 200)
    expect.header(reply, "Content-Type", OCI_INDEX)
    _entries(reply)


@case(_SECTION, "end-12a", MUST)
def no_referrers(target: Target) -> None:
    """Without referrers the list is an empty index."""
    subject = target.push(image())
    reply = _list(target, subject.digest)
    document = reply.json()
    expect.equal("schemaVersion", document.get("schemaVersion"), 2)
    expect.equal("mediaType", document.get("mediaType"), OCI_INDEX)
    expect.equal("manifests", document.get("manifests"), [])


@case(_SECTION, "end-12a", MUST)
def referrers_content_type(target: Target) -> None:
    """The list is an index, and its Content-Type says so."""
    subject, _ = _pair(target)
    expect.header(_list(target, subject.digest), "Content-Type", OCI_INDEX)


@case(_SECTION, "end-12a", MUST)
def referrers_of_unknown_subject(target: Target) -> None:
    """A digest that the repository does not have is answered with an empty list, not with 404."""
    target.push(image())
    expect.equal("entries", _entries(_list(target, content.unknown_digest())), [])


@case(_SECTION, "end-12a", MUST)
def referrers_of_bad_digest(target: Target) -> None:
    """A digest with bad syntax is answered with 400."""
    target.push(image())
    for digest in ("sha256:short", "no-digest", "sha256:" + "X" * 64):
        expect.status(target.get(f"referrers/{digest}"), 400)


@case(_SECTION, "end-12a", MUST)
def referrer_is_listed(target: Target) -> None:
    """A manifest with a subject is listed with its descriptor and artifactType."""
    subject, referrer = _pair(target, artifactType=_SBOM)
    _expect_entry(target, subject, referrer, artifactType=_SBOM)


@case(_SECTION, "end-12a", MUST)
def referrer_annotations(target: Target) -> None:
    """The entry has the annotations of the manifest."""
    annotations = {"org.example.text": "\u00e9 <&>", "org.example.empty": ""}
    subject, referrer = _pair(target, annotations=annotations)
    _expect_entry(target, subject, referrer, annotations=annotations)


@case(_SECTION, "end-12a", MUST)
def artifact_type_of_config(target: Target) -> None:
    """An image without artifactType is listed under the type of its config."""
    subject = target.push(image())
    referrer = target.push(image(subject=subject.descriptor()))
    _expect_entry(target, subject, referrer, artifactType=content.OCI_CONFIG)


@case(_SECTION, "end-12a", MUST)
def index_as_referrer(target: Target) -> None:
    """An index with a subject is listed with its own artifactType."""
    subject = target.push(image())
    referrer = target.push(index(subject, artifactType=_SBOM, subject=subject.descriptor()))
    _expect_entry(target, subject, referrer, artifactType=_SBOM)


@case(_SECTION, "end-12a", MUST)
def index_without_artifact_type(target: Target) -> None:
    """An index without artifactType is listed without one."""
    subject = target.push(image())
    referrer = target.push(index(subject, subject=subject.descriptor()))
    _expect_entry(target, subject, referrer, artifactType=None)


@case(_SECTION, "end-12a", MUST)
def referrers_of_one_repository(target: Target) -> None:
    """Only manifests of the same repository are listed."""
    subject, referrer = _pair(target)
    elsewhere = artifact(subject=subject.descriptor())
    target.push(elsewhere, repository=target.other_repository)
    listed = [entry.get("digest") for entry in _entries(_list(target, subject.digest))]
    expect.equal("referrers", listed, [referrer.digest])


@case(_SECTION, "end-12b", SHOULD)
def referrers_filtered(target: Target) -> None:
    """With artifactType only such manifests are listed, and OCI-Filters-Applied says so."""
    subject, sbom = _pair(target, artifactType=_SBOM)
    target.push(artifact(subject=subject.descriptor(), artifactType=_SIGNATURE))
    reply = _list(target, subject.digest, artifactType=_SBOM)
    expect.header(reply, "OCI-Filters-Applied", "artifactType")
    expect.equal("referrers", [entry.get("digest") for entry in _entries(reply)], [sbom.digest])


@case(_SECTION, "end-12b", SHOULD)
def referrers_filtered_to_none(target: Target) -> None:
    """A filter that nothing matches gives an empty list."""
    subject, _ = _pair(target)
    reply = _list(target, subject.digest, artifactType="application/vnd.example.none")
    expect.header(reply, "OCI-Filters-Applied", "artifactType")
    expect.equal("referrers", _entries(reply), [])


@case(_SECTION, "end-12a", MUST)
def referrers_in_pages(target: Target) -> None:
    """Referrers too large for one index of 4 MiB: each is listed once, over the pages that Link names."""
    subject = target.push(image())
    target.push_blob(b"{}")
    referrers = set()
    for number in range(12):
        padding = {"org.example.padding": f"{number}" + "x" * 450_000}
        referrer = artifact(subject=subject.descriptor(), annotations=padding)
        expect.status(target.put_manifest(referrer, referrer.digest), 201)
        referrers.add(referrer.digest)
    reply = _list(target, subject.digest)
    listed = [entry.get("digest") for entry in _entries(reply)]
    for _ in range(_PAGES_LIMIT):
        following = next_page(reply)
        if following is None:
            break
        reply = expect.status(target.client.request("GET", following), 200)
        listed += [entry.get("digest") for entry in _entries(reply)]
    expect.equal("number of referrers", len(listed), len(referrers))
    expect.equal("referrers", set(listed), referrers)


@case(_SECTION, "end-9", MUST)
def deleted_referrer(target: Target) -> None:
    """A manifest that was deleted is listed no more."""
    subject, referrer = _pair(target)
    _expect_entry(target, subject, referrer)
    target.remove(f"manifests/{referrer.digest}")
    expect.equal("referrers", _entries(_list(target, subject.digest)), [])


@case("Enabling the Referrers API", "end-12a", MUST)
def fallback_tag(target: Target) -> None:
    """What clients list under the referrers tag is served as pushed, and listed by the API too."""
    subject, referrer = _pair(target)
    tag = subject.digest.replace(":", "-")
    listing = target.push(index(referrer), tag)
    target.pull_manifest(listing, tag)
    _expect_entry(target, subject, referrer)


@_subject_case("Pushing Manifests with Subject", "end-7a", MUST)
def subject_header(target: Target) -> None:
    """The answer to a manifest with a subject has it in OCI-Subject."""
    subject = target.push(image())
    for referrer in (artifact(subject=subject.descriptor()), index(subject, subject=subject.descriptor())):
        for blob in referrer.blobs:
            target.push_blob(blob)
        reply = expect.status(target.put_manifest(referrer, referrer.digest), 201)
        expect.header(reply, "OCI-Subject", subject.digest)


@_subject_case("Push", "end-7a", MUST)
def missing_subject(target: Target) -> None:
    """A subject may be pushed after what refers to it."""
    subject = image()
    referrer = target.push(artifact(subject=subject.descriptor()), "early")
    target.pull_manifest(referrer, "early")
    target.push(subject)
    target.pull_manifest(subject)


@_subject_case(_SECTION, "end-12a", MUST)
def referrer_of_missing_subject(target: Target) -> None:
    """What refers to a manifest that is not there is listed."""
    subject = image()
    _expect_entry(target, subject, target.push(artifact(subject=subject.descriptor())))


@_subject_case("Pushing Manifests with Subject", "end-7a", MUST)
def index_with_subject(target: Target) -> None:
    """An index with a subject is accepted and comes back."""
    subject = target.push(image())
    referrer = target.push(index(subject, subject=subject.descriptor()), "index")
    target.pull_manifest(referrer, "index", referrer.digest)
