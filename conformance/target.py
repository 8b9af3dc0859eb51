"""The registry under test as a case sees it, with the few steps that most cases begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from conformance import content, expect
from conformance.case import Skipped
from conformance.exchange import with_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.client import Client
    from conformance.content import Manifest
    from conformance.exchange import Exchange, Reply

OCTETS = "application/octet-stream"


class Daemon(Protocol):
    """A registry that the kit may restart."""

    def restart(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """Content that is there: a manifest, tags that point to it, and one blob."""

    repository: str
    tags: tuple[str, ...]
    manifest: Manifest
    digest: str
    blob: bytes
    blob_digest: str

    @property
    def references(self) -> tuple[str, ...]:
        return (*self.tags, self.digest)

    @property
    def digests(self) -> tuple[str, ...]:
        """What a registry may call the manifest: it may prefer another algorithm."""
        return self.digest, self.manifest.digest


@dataclass(slots=True)
class Shared:
    """What the cases of one run have in common."""

    prefix: str
    """Every repository of the run stands under it."""
    daemon: Daemon | None = None
    sample: Sample | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    """Of all cases before."""


class Target:
    def __init__(self, case_id: str, client: Client, shared: Shared) -> None:
        self.client = client
        self.shared = shared
        self._case_id = case_id

    @cached_property
    def repository(self) -> str:
        """A repository that no other case uses."""
        return f"{self.shared.prefix}/{self._case_id}"

    @cached_property
    def other_repository(self) -> str:
        return f"{self.shared.prefix}/{self._case_id}-other"

    def sample(self) -> Sample:
        """Content to read, pushed once for a run; or what the user named."""
        if self.shared.sample is None:
            blob = content.random_blob(2048)
            repository, image = f"{self.shared.prefix}/sample", content.image(blob)
            self.push(image, "sample", repository=repository)
            self.shared.sample = Sample(repository, ("sample",), image, image.digest, blob, content.digest_of(blob))
        return self.shared.sample

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """A path below ``/v2/<repository>/``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, f"/v2/{self.repository}/{path}", headers=sent)

    def remove(self, path: str, expected: int = 202) -> None:
        """DELETE. Raises Skipped where the registry says that this is switched off."""
        reply = self.client.request("DELETE", f"/v2/{self.repository}/{path}")
        if reply.status in {400, 405}:
            raise Skipped(f"DELETE is answered with {reply.status}: switched off")
        expect.status(reply, expected)

    def open_upload(self, repository: str | None = None, **query: str) -> Reply:
        """POST a session; the answer has its location."""
        target = with_query(f"/v2/{repository or self.repository}/blobs/uploads/", **query)
        reply = self.client.request("POST", target)
        expect.status(reply, 202)
        reply.location()
        return reply

    def patch(self, location: str, chunk: bytes, start: int | None) -> Reply:
        """Send a chunk; without a start there is no Content-Range."""
        headers = {"Content-Type": OCTETS}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(chunk) - 1}"
        return self.client.request("PATCH", location, chunk, headers)

    def close_upload(self, location: str, digest: str, chunk: bytes = b"", start: int | None = None) -> Reply:
        headers = {"Content-Type": OCTETS} if chunk else {}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(chunk) - 1}"
        return self.client.request("PUT", with_query(location, digest=digest), chunk, headers)

    def push_blob(self, blob: bytes, algorithm: str = "sha256", repository: str | None = None) -> str:
        """POST and PUT, which every registry knows; the digest."""
        digest = content.digest_of(blob, algorithm)
        query = {} if algorithm == "sha256" else {"digest_algorithm": algorithm}
        location = self.open_upload(repository, **query).location()
        expect.status(self.close_upload(location, digest, blob), 201)
        return digest

    def put_manifest(
        self, manifest: Manifest, reference: str, *, repository: str | None = None, tags: Sequence[str] = ()
    ) -> Reply:
        """PUT alone; the answer may be anything."""
        target = with_query(f"/v2/{repository or self.repository}/manifests/{reference}", tag=list(tags))
        return self.client.request("PUT", target, manifest.body, {"Content-Type": manifest.media_type})

    def put_sha512(self, manifest: Manifest, digest: str, *, tags: Sequence[str] = ()) -> Reply:
        """PUT by a sha512 digest. Raises Skipped where the registry has no such manifests.

        Source: image-spec, SHA-512: "Implementations MAY implement SHA-512 digest verification".
        """
        reply = self.put_manifest(manifest, digest, tags=tags)
        if reply.status in {400, 404}:
            raise Skipped(f"a manifest by its sha512 digest is answered with {reply.status}: not supported")
        return expect.status(reply, 201)

    def push(self, manifest: Manifest, *references: str, repository: str | None = None) -> Manifest:
        """Push the blobs of a manifest, then itself under each reference, or by its digest."""
        for blob in dict.fromkeys(manifest.blobs):
            self.push_blob(blob, repository=repository)
        for reference in references or (manifest.digest,):
            expect.status(self.put_manifest(manifest, reference, repository=repository), 201)
        return manifest

    def pull_blob(self, digest: str, blob: bytes, repository: str | None = None) -> None:
        """The blob is there, with its bytes."""
        reply = self.client.request("GET", f"/v2/{repository or self.repository}/blobs/{digest}")
        expect.body(expect.status(reply, 200), blob)

    def pull_manifest(self, manifest: Manifest, *references: str) -> None:
        """The manifest is there under each reference, by GET and by HEAD, with its bytes and under its type."""
        for reference in references or (manifest.digest,):
            got = expect.status(self.get(f"manifests/{reference}", Accept=manifest.media_type), 200)
            expect.body(got, manifest.body)
            head = expect.status(self.get(f"manifests/{reference}", "HEAD", Accept=manifest.media_type), 200)
            expect.header(head, "Content-Length", str(len(manifest.body)))
            expect.equal("Content-Type", media_type_of(got), manifest.media_type)

    def no_blob(self, digest: str) -> None:
        expect.status(self.get(f"blobs/{digest}"), 404)
        expect.status(self.get(f"blobs/{digest}", "HEAD"), 404)

    def no_manifest(self, reference: str) -> None:
        expect.status(self.get(f"manifests/{reference}"), 404)
        expect.status(self.get(f"manifests/{reference}", "HEAD"), 404)


def media_type_of(reply: Reply) -> str:
    """The Content-Type without parameters, which clients ignore."""
    return (reply.header("content-type") or "").partition(";")[0].strip()
