"""What podman and skopeo don't ask for, asked for by curl: artifacts with a subject, and a mount."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from registry.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.clients.commands import needs
from tests.tools.content import CONFIG, descriptor, digest_of, image

if TYPE_CHECKING:
    from tests.clients.curl import Curl

pytestmark = needs("curl")

_SBOM = "application/vnd.example.sbom"


def test_curl_lists_the_artifacts_that_refer_to_an_image(curl: Curl) -> None:
    curl.push_blob("team/app", CONFIG)
    subject = image()
    curl.push_manifest("team/app", "1", subject)
    artifact = image(artifactType=_SBOM, subject=descriptor(subject, OCI_IMAGE), annotations={"made": "here"})
    other = image(artifactType="application/vnd.example.signature", subject=descriptor(subject, OCI_IMAGE))

    for manifest in (artifact, other):
        reply = curl.push_manifest("team/app", digest_of(manifest), manifest)
        assert reply.headers["oci-subject"] == digest_of(subject)

    target = f"/v2/team/app/referrers/{digest_of(subject)}"
    everything, filtered = curl("GET", target), curl("GET", f"{target}?artifactType={_SBOM}")
    assert (everything.status, everything.headers["content-type"]) == (200, OCI_INDEX)
    assert {entry["digest"] for entry in everything.json()["manifests"]} == {digest_of(artifact), digest_of(other)}
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert filtered.json()["manifests"] == [
        descriptor(artifact, OCI_IMAGE, artifactType=_SBOM, annotations={"made": "here"})
    ]


def test_curl_lists_artifacts_that_came_before_their_subject(curl: Curl) -> None:
    curl.push_blob("team/app", CONFIG)
    subject = image()
    artifact = image(artifactType=_SBOM, subject=descriptor(subject, OCI_IMAGE))

    curl.push_manifest("team/app", digest_of(artifact), artifact)

    listed = curl("GET", f"/v2/team/app/referrers/{digest_of(subject)}").json()["manifests"]
    assert [entry["digest"] for entry in listed] == [digest_of(artifact)]


def test_curl_mounts_a_blob_into_a_second_repository(curl: Curl) -> None:
    content = os.urandom(100_000)
    digest = curl.push_blob("team/first", content)

    reply = curl("POST", f"/v2/team/second/blobs/uploads/?mount={digest}&from=team/first", b"")

    assert (reply.status, reply.headers["docker-content-digest"]) == (201, digest)
    assert curl("GET", reply.headers["location"]).body == content
