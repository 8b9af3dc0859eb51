"""What a registry is to answer, said with a few dictionaries: test_model holds the real one against this.

An act of the model takes what a request says, changes the dictionaries and returns the answer that is expected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE, digest_of
from tests.tools.portal import Expected, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OTHER = "application/vnd.example.bill+json"
FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"


@dataclass(frozen=True)
class Blob:
    content: bytes
    digest: str

    def descriptor(self, _algorithm: str = "", *, media_type: str = LAYER_TYPE) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Manifest:
    """A manifest's bytes, and what they mean.

    ``parts`` may have to be pushed before it, ``refers`` holds the digests of all content, subject aside; ``shown`` is
    what a list of referrers shows beside type, digest and size.
    """

    body: bytes
    media_type: str
    parts: tuple[Blob | Manifest, ...]
    refers: frozenset[str]
    required_blobs: frozenset[str] = frozenset()
    required_children: frozenset[str] = frozenset()
    subject: str | None = None
    shown: dict[str, Any] = field(default_factory=dict)

    def digest(self, algorithm: str = "sha256") -> str:
        return digest_of(self.body, algorithm)

    def descriptor(self, algorithm: str) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest(algorithm), "size": len(self.body)}


@dataclass(frozen=True)
class About:
    """The fields that every kind of manifest may have."""

    subject: str | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        subject = {"subject": {"mediaType": OCI_IMAGE, "digest": self.subject, "size": 1}} if self.subject else {}
        return {**subject, **self.shown()}

    def shown(self, default_type: str | None = None) -> dict[str, Any]:
        shown = {"artifactType": self.artifact_type or default_type, "annotations": self.annotations}
        return {name: value for name, value in shown.items() if value}


def image(media_type: str, config: Blob, layers: Sequence[Blob], foreign: Sequence[Blob], about: About) -> Manifest:
    """An image; its ``foreign`` layers need not be in the registry."""
    descriptors = [each.descriptor() for each in layers]
    descriptors += [each.descriptor(media_type=FOREIGN_LAYER) for each in foreign]
    body = _to_json(media_type, about, config=config.descriptor(media_type=CONFIG_TYPE), layers=descriptors)
    parts = (config, *layers)
    required = _digests(parts)
    refers = required | _digests(foreign)
    return Manifest(body, media_type, parts, refers, required, subject=about.subject, shown=about.shown(CONFIG_TYPE))


def index(children: Sequence[Blob | Manifest], algorithm: str, about: About) -> Manifest:
    """An index of manifests, or of blobs, as a build cache has it. ``algorithm`` names the manifests."""
    descriptors = [each.descriptor(algorithm) for each in children]
    body = _to_json(OCI_INDEX, about, manifests=descriptors)
    digests = frozenset(each["digest"] for each in descriptors)
    parts, shown = tuple(children), about.shown()
    return Manifest(body, OCI_INDEX, parts, digests, required_children=digests, subject=about.subject, shown=shown)


def other(parts: Sequence[Blob], about: About) -> Manifest:
    """A type that the registry does not know: nothing has to be there, and what is there is referred to."""
    body = _to_json(OTHER, about, parts={"list": [part.descriptor() for part in parts]})
    return Manifest(body, OTHER, tuple(parts), _digests(parts), subject=about.subject, shown=about.shown())


def _to_json(media_type: str, about: About, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, **more, **about.fields()}).encode()


def _digests(blobs: Sequence[Blob]) -> frozenset[str]:
    return frozenset(blob.digest for blob in blobs)


@dataclass
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def digest(self, reference: str) -> str | None:
        """The digest of the manifest that a tag or digest names; None where it names none."""
        digest = self.tags.get(reference, reference)
        return digest if digest in self.manifests else None


@dataclass
class Upload:
    repository: str
    content: bytes = b""


class Model:
    """A repository is known from the first push that succeeded, for good; an upload until it is closed or cancelled."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, Upload] = {}

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

    def cancel(self, name: str, upload_id: str) -> Expected:
        error = self._judge(name, upload_id, None)
        if error is None:
            del self.uploads[upload_id]
        return error or Expected(204)

    def read_blob(self, name: str, digest: str) -> Expected:
        if (content := self._look(name).blobs.get(digest)) is None:
            return refused(404, "BLOB_UNKNOWN")
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
        del repository.blobs[digest]
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
            del repository.manifests[digest]
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
        self.repositories.setdefault(name, Repository()).blobs[digest] = content
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
