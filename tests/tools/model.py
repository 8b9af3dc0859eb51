"""What a registry is to answer, said with a few dictionaries: test_model holds the real one against this.

An act of the model takes what a request says, changes the dictionaries and returns the answer that is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.oci.media_types import OCI_INDEX
from tests.tools.content import digest_of
from tests.tools.portal import Expected, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.tools.parts import Manifest

LEASE_MS, GRACE_MS, HORIZON_MS = 10_000, 20_000, 100_000
"""Of the registry that the model is held against."""


@dataclass
class Repository:
    """``unreferenced`` tells since when no manifest refers to a blob, ``kept_until`` when its last lease ends."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    unreferenced: dict[str, int] = field(default_factory=dict)
    kept_until: dict[str, int] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def digest(self, reference: str) -> str | None:
        """The digest of the manifest that a tag or digest names; None where it names none."""
        digest = self.tags.get(reference, reference)
        return digest if digest in self.manifests else None

    def mark(self, digests: Iterable[str], now: int) -> None:
        """Tell again for each of the blobs whether a manifest refers to it."""
        for digest in self.blobs.keys() & set(digests):
            if any(digest in manifest.refers for manifest in self.manifests.values()):
                self.unreferenced.pop(digest, None)
            else:
                self.unreferenced[digest] = now

    def lease(self, digest: str, now: int) -> None:
        self.kept_until[digest] = max(self.kept_until.get(digest, 0), now + LEASE_MS)
        if digest in self.unreferenced:
            self.unreferenced[digest] = now

    def forget(self, digest: str) -> None:
        del self.blobs[digest]
        self.unreferenced.pop(digest, None)
        del self.kept_until[digest]


@dataclass
class Upload:
    repository: str
    content: bytes = b""


class Model:
    """A repository is known from the first push that succeeded, for good; an upload until it is closed or cancelled."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, Upload] = {}
        self.now = 0
        """Milliseconds on the daemon's clock."""

    def collect(self, *, now: bool) -> tuple[int, int]:
        """Garbage collection: how many links go, and how many blobs are then in no repository."""
        linked = {digest for repository in self.repositories.values() for digest in repository.blobs}
        collected = 0
        for repository in self.repositories.values():
            for digest, since in list(repository.unreferenced.items()):
                if since <= self.now - (0 if now else GRACE_MS) and repository.kept_until[digest] <= self.now:
                    repository.forget(digest)
                    collected += 1
        left = {digest for repository in self.repositories.values() for digest in repository.blobs}
        return collected, len(linked - left)

    def push(self, name: str, content: bytes, digest: str) -> Expected:
        if digest_of(content, digest.partition(":")[0]) != digest:
            return refused(400, "DIGEST_INVALID")
        return self._link(name, content, digest)

    def mount(self, name: str, digest: str, source: str | None) -> Expected | None:
        """None: the blob is not there, and an upload begins."""
        sources = self.repositories.values() if source is None else [self._look(source)]
        contents = [each.blobs[digest] for each in sources if digest in each.blobs]
        return self._link(name, contents[0], digest) if contents else None

    def begin(self, name: str, upload_id: str) -> Expected:
        self.uploads[upload_id] = Upload(name)
        return Expected(202, self._progress(upload_id))

    def append(self, name: str, upload_id: str, chunk: bytes, start: int | None) -> Expected:
        """``start`` is where the client says that its chunk begins."""
        error = self._judge(name, upload_id, start)
        if error is None:
            self.uploads[upload_id].content += chunk
        return error or Expected(202, self._progress(upload_id))

    def finish(self, name: str, upload_id: str, chunk: bytes, start: int | None, digest: str) -> Expected:
        error = self._judge(name, upload_id, start)
        expected = error or self.push(name, self.uploads[upload_id].content + chunk, digest)
        if expected.status == 201:
            del self.uploads[upload_id]
        return expected

    def status(self, name: str, upload_id: str) -> Expected:
        return self._judge(name, upload_id, None) or Expected(204, self._progress(upload_id))

    def refuse_upload(self, name: str, upload_id: str) -> Expected | None:
        """What any request to an upload is told that is not there; None for one that is."""
        return self._judge(name, upload_id, None)

    def cancel(self, name: str, upload_id: str) -> Expected:
        error = self._judge(name, upload_id, None)
        if error is None:
            del self.uploads[upload_id]
        return error or Expected(204)

    def read_blob(self, name: str, digest: str) -> Expected:
        repository = self._look(name)
        if (content := repository.blobs.get(digest)) is None:
            return refused(404, "BLOB_UNKNOWN")
        if digest in repository.unreferenced and repository.kept_until[digest] - self.now < LEASE_MS * 3 / 4:
            repository.lease(digest, self.now)
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes", **_content(digest, digest)}
        return Expected(200, headers, content)

    def read_part(self, name: str, digest: str, first: int | None, last: int | None) -> Expected:
        """The bytes ``first-last``, ``first-`` or, as ``-last``, so many at the end."""
        whole = self.read_blob(name, digest)
        if whole.status != 200:
            return whole
        content, size = whole.body, len(whole.body)
        if first is None:
            positions = range(size)[size - min(last or 0, size) :]
        else:
            positions = range(size)[first : size if last is None else last + 1]
        if not positions:
            return refused(416, "SIZE_INVALID", {"content-range": f"bytes */{size}"})
        headers = {**whole.headers, "content-range": f"bytes {positions[0]}-{positions[-1]}/{size}"}
        return Expected(206, headers, bytes(content[position] for position in positions))

    def delete_blob(self, name: str, digest: str) -> Expected:
        if digest not in (repository := self._look(name)).blobs:
            return refused(404, "BLOB_UNKNOWN")
        referring = [each for each, manifest in repository.manifests.items() if digest in manifest.refers]
        if referring:
            return Expected(405, {"allow": "GET, HEAD"}, codes=("DENIED",), named=frozenset(sorted(referring)[:10]))
        repository.forget(digest)
        return Expected(202)

    def push_manifest(self, name: str, reference: str, tags: Sequence[str], manifest: Manifest) -> Expected:
        """``reference`` is a digest or a tag; ``tags`` are those of the query."""
        by_digest = ":" in reference
        if tags and not by_digest:
            return refused(400, "UNSUPPORTED")
        digest = manifest.digest(reference.partition(":")[0] if by_digest else "sha256")
        if by_digest and digest != reference:
            return refused(400, "DIGEST_INVALID")
        repository = self._look(name)
        missing = manifest.required_blobs - repository.blobs.keys()
        missing |= manifest.required_children - repository.blobs.keys() - repository.manifests.keys()
        if missing:
            return Expected(404, codes=("MANIFEST_BLOB_UNKNOWN",) * len(missing), named=missing)
        repository = self.repositories.setdefault(name, repository)
        repository.manifests[digest] = manifest
        repository.mark(manifest.refers, self.now)
        repository.tags.update(dict.fromkeys(tags if by_digest else [reference], digest))
        headers = {"location": f"/v2/{name}/manifests/{digest}", "docker-content-digest": digest}
        all_tags = ", ".join(dict.fromkeys(tags)) or None
        return Expected(201, {**headers, "oci-tag": all_tags, "oci-subject": manifest.subject})

    def read_manifest(self, name: str, reference: str) -> Expected:
        repository = self._look(name)
        if (digest := repository.digest(reference)) is None:
            return refused(404, "MANIFEST_UNKNOWN")
        manifest = repository.manifests[digest]
        return Expected(200, {"content-type": manifest.media_type, **_content(digest, reference)}, manifest.body)

    def delete_manifest(self, name: str, reference: str) -> Expected:
        """A tag alone, or a manifest with its tags. What refers to it stays."""
        if name not in self.repositories:
            return refused(404, "NAME_UNKNOWN")
        repository = self.repositories[name]
        if (digest := repository.digest(reference)) is None:
            return refused(404, "MANIFEST_UNKNOWN")
        if repository.tags.pop(reference, None) is None:
            gone = repository.manifests.pop(digest)
            repository.mark(gone.refers, self.now)
            repository.tags = {tag: other for tag, other in repository.tags.items() if other != digest}
        return Expected(202)

    def list_tags(self, name: str) -> Expected:
        if name not in self.repositories:
            return refused(404, "NAME_UNKNOWN")
        return Expected(200, document={"name": name, "tags": sorted(self.repositories[name].tags)})

    def referrers(self, name: str, subject: str, artifact_type: str | None) -> list[dict[str, Any]]:
        """The descriptors, by digest."""
        return [
            {**manifest.descriptor(digest.partition(":")[0]), **manifest.shown}
            for digest, manifest in sorted(self._look(name).manifests.items())
            if manifest.subject == subject and artifact_type in {None, manifest.shown.get("artifactType")}
        ]

    def visible(self) -> Iterator[tuple[str, Expected]]:
        """All that a client can see: targets to GET, and the answers."""
        yield "/v2/_catalog", Expected(200, document={"repositories": sorted(self.repositories)})
        blobs = {digest for repository in self.repositories.values() for digest in repository.blobs}
        manifests = {digest for repository in self.repositories.values() for digest in repository.manifests}
        for name, repository in self.repositories.items():
            yield f"/v2/{name}/tags/list", self.list_tags(name)
            yield from ((f"/v2/{name}/blobs/{digest}", self.read_blob(name, digest)) for digest in blobs)
            for reference in (*manifests, *repository.tags):
                yield f"/v2/{name}/manifests/{reference}", self.read_manifest(name, reference)
            for subject in filter(None, {each.subject for each in repository.manifests.values()}):
                shown = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.referrers(name, subject, None)}
                yield f"/v2/{name}/referrers/{subject}", Expected(200, document=shown)
        for upload_id, upload in self.uploads.items():
            yield f"/v2/{upload.repository}/blobs/uploads/{upload_id}", self.status(upload.repository, upload_id)

    def _look(self, name: str) -> Repository:
        return self.repositories.get(name, Repository())

    def _link(self, name: str, content: bytes, digest: str) -> Expected:
        repository = self.repositories.setdefault(name, Repository())
        if digest not in repository.blobs:
            repository.blobs[digest] = content
            repository.mark([digest], self.now)
        repository.lease(digest, self.now)
        return Expected(201, {"location": f"/v2/{name}/blobs/{digest}", "docker-content-digest": digest})

    def _judge(self, name: str, upload_id: str, start: int | None) -> Expected | None:
        """Why nothing can be sent to an upload, None if it can."""
        upload = self.uploads.get(upload_id)
        if upload is None or upload.repository != name:
            return refused(404, "BLOB_UPLOAD_UNKNOWN")
        if start not in {None, len(upload.content)}:
            return refused(416, "BLOB_UPLOAD_INVALID", self._progress(upload_id))
        return None

    def _progress(self, upload_id: str) -> dict[str, str | None]:
        upload = self.uploads[upload_id]
        return {
            "location": f"/v2/{upload.repository}/blobs/uploads/{upload_id}",
            "range": f"0-{max(len(upload.content) - 1, 0)}",
            "docker-upload-uuid": upload_id,
        }


def _content(digest: str, reference: str) -> dict[str, str | None]:
    caching = "max-age=31536000, immutable" if reference == digest else "no-cache"
    return {"docker-content-digest": digest, "etag": f'"{digest}"', "cache-control": caching}
