"""The requests of the distribution-spec as rules of a state machine: each is answered as the model predicts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from registry.oci.media_types import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX
from registry.service.policy import Policy
from tests.tools.content import digest_of
from tests.tools.model import Model
from tests.tools.parts import About, Blob, Manifest, image, index, other
from tests.tools.portal import OpenRegistry, broken, check, chunked, content_range, refused

if TYPE_CHECKING:
    from tests.tools.asgi import Reply

STEPS_BETWEEN_LOOKS = 13

ALGORITHMS = ("sha256", "sha512")
REPOSITORIES = ("library/app", "a/manifests", "b")
SOURCES = (*REPOSITORIES, "no/such", "NOT/VALID")
TAGS = ("v1", "V2", "latest")
CONTENTS = (b"", b"config", b"layer " * 50)
PARTS = ((0, None), (4, None), (6, None), (0, 0), (1, 4), (0, 9), (4, 2), (6, 9), (None, 0), (None, 4), (None, 9))
"""First and last byte; all cases of them are there for the six bytes of "config"."""
MISSING = digest_of(b"what nobody pushes")
TYPES = ("application/vnd.example.signature", "application/vnd.example.sbom+json")

Upload = tuple[str, str]  # repository and id

names = st.sampled_from(REPOSITORIES)
algorithms = st.sampled_from(ALGORITHMS)
chunks = st.sampled_from((b"x", b"yz", b"chunk " * 30))
mostly = st.sampled_from((True, True, True, False))
reading = st.sampled_from(("GET", "HEAD"))
page_sizes = st.none() | st.integers(0, 3)

blobs: Bundle[Blob] = Bundle("blobs")
manifests: Bundle[Manifest] = Bundle("manifests")
uploads: Bundle[Upload] = Bundle("uploads")

digests = st.builds(Manifest.digest, manifests, algorithms)
subjects = digests | st.just(MISSING)
references = st.sampled_from(TAGS) | digests
abouts = st.builds(
    About,
    st.none() | subjects,
    st.none() | st.sampled_from(TYPES),
    st.sampled_from(({}, {"org.example.note": "ä"})),
)
layer_lists = st.lists(blobs, max_size=2)
images = st.builds(
    image, st.sampled_from((OCI_IMAGE, DOCKER_IMAGE)), blobs, layer_lists, st.lists(blobs, max_size=1), abouts
)
indexes = st.builds(index, st.lists(manifests | blobs, max_size=2), algorithms, abouts)
others = st.builds(other, layer_lists, abouts)


def target(upload: Upload) -> str:
    return f"/v2/{upload[0]}/blobs/uploads/{upload[1]}"


class ProtocolMachine(RuleBasedStateMachine):
    """Requests only; ``elapsed_ms`` is what the daemon's clock advances with."""

    policy = Policy()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="cargohold-model-"))
        self.data = self.folder / "0"
        self.elapsed_ms = 0
        self.registry = self.open()
        self.model = Model()
        self.steps = 0
        self.ended: list[Upload] = []

    def open(self) -> OpenRegistry:
        return OpenRegistry(self.data, self.policy, lambda: self.elapsed_ms)

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.folder)

    @initialize(target=blobs)
    def know_blobs(self) -> MultipleResults[Blob]:
        return multiple(*(Blob(each, digest_of(each, algorithm)) for each in CONTENTS for algorithm in ALGORITHMS))

    @initialize(target=manifests)
    def know_manifest(self) -> Manifest:
        return index([], "sha256", About())

    @rule(name=names, blob=blobs, honest=mostly, streamed=st.booleans())
    def push(self, name: str, blob: Blob, honest: bool, streamed: bool) -> None:
        content = blob.content if honest else blob.content + b"!"
        body = chunked(content) if streamed else content
        reply = self.registry.request("POST", f"/v2/{name}/blobs/uploads/?digest={blob.digest}", body)
        check(reply, self.model.push(name, content, blob.digest))

    @rule(name=names, blob=blobs, method=reading, is_cached=st.booleans())
    def read_blob(self, name: str, blob: Blob, method: str, is_cached: bool) -> None:
        expected = self.model.read_blob(name, blob.digest)
        self.registry.check_read(method, f"/v2/{name}/blobs/{blob.digest}", expected, is_cached=is_cached)

    @rule(name=names, blob=blobs, complete=mostly, part=st.sampled_from(PARTS))
    def read_part(self, name: str, blob: Blob, complete: bool, part: tuple[int | None, int | None]) -> None:
        if complete:
            self.push(name, blob, honest=True, streamed=False)
        header = "bytes={}-{}".format(*("" if position is None else position for position in part))
        reply = self.registry.request("GET", f"/v2/{name}/blobs/{blob.digest}", headers={"Range": header})
        check(reply, self.model.read_part(name, blob.digest, *part))

    @rule(target=uploads, name=names, blob=blobs, regretted=st.booleans())
    def delete_blob(self, name: str, blob: Blob, regretted: bool) -> Upload | MultipleResults[Upload]:
        reply = self.registry.request("DELETE", f"/v2/{name}/blobs/{blob.digest}")
        check(reply, self.model.delete_blob(name, blob.digest))
        return self.mount(name, blob, source=None) if regretted else multiple()

    @rule(target=uploads, name=names, blob=blobs, source=st.none() | st.sampled_from(SOURCES))
    def mount(self, name: str, blob: Blob, source: str | None) -> Upload | MultipleResults[Upload]:
        query = {"mount": blob.digest} if source is None else {"mount": blob.digest, "from": source}
        reply = self.registry.request("POST", f"/v2/{name}/blobs/uploads/?{urlencode(query)}")
        expected = self.model.mount(name, blob.digest, source)
        if expected is None:
            return self.began(name, reply)
        check(reply, expected)
        return multiple()

    @rule(target=uploads, name=names, algorithm=st.none() | algorithms)
    def begin(self, name: str, algorithm: str | None) -> Upload:
        query = "" if algorithm is None else f"?digest-algorithm={algorithm}"
        return self.began(name, self.registry.request("POST", f"/v2/{name}/blobs/uploads/{query}"))

    @rule(upload=uploads, chunk=chunks, shift=st.sampled_from((None, 0, 0, 0, 1, -1)), streamed=st.booleans())
    def append(self, upload: Upload, chunk: bytes, shift: int | None, streamed: bool) -> None:
        start = self.start(upload, shift)
        body = chunked(chunk) if streamed else chunk
        reply = self.registry.request("PATCH", target(upload), body, content_range(start, len(chunk)))
        check(reply, self.model.append(*upload, chunk, start))

    @rule(target=uploads, upload=consumes(uploads), chunk=st.just(b"") | chunks, shift=st.sampled_from((None, 0, 1)),
          algorithm=algorithms, honest=mostly)  # fmt: skip
    def finish(
        self, upload: Upload, chunk: bytes, shift: int | None, algorithm: str, honest: bool
    ) -> Upload | MultipleResults[Upload]:
        start = self.start(upload, shift) if chunk else None
        digest = digest_of(self.received(upload) + chunk, algorithm) if honest else MISSING
        reply = self.registry.request(
            "PUT", f"{target(upload)}?digest={digest}", chunk, content_range(start, len(chunk))
        )
        check(reply, self.model.finish(*upload, chunk, start, digest))
        return self.unless_ended(upload)

    @rule(target=uploads, upload=consumes(uploads), blob=blobs)
    def finish_at_once(self, upload: Upload, blob: Blob) -> Upload | MultipleResults[Upload]:
        reply = self.registry.request("PUT", f"{target(upload)}?digest={blob.digest}", blob.content)
        check(reply, self.model.finish(*upload, blob.content, None, blob.digest))
        return self.unless_ended(upload)

    @rule(upload=uploads, method=st.sampled_from(("PATCH", "PUT")), chunk=chunks, surplus=st.sampled_from((-1, 1)))
    def send_wrong_size(self, upload: Upload, method: str, chunk: bytes, surplus: int) -> None:
        """A body that is longer or shorter than Content-Range says: none of it counts."""
        header = content_range(self.start(upload, 0), len(chunk) + 1 - surplus)
        reply = self.registry.request(method, f"{target(upload)}?digest={MISSING}", chunked(chunk + b"z"), header)
        check(reply, self.model.refuse_upload(*upload) or refused(400, "SIZE_INVALID"))

    @rule(upload=uploads, method=st.sampled_from(("PATCH", "PUT")), chunk=chunks)
    def break_off(self, upload: Upload, method: str, chunk: bytes) -> None:
        """The client goes away in the middle: what it had sent counts in a PATCH, not in a PUT."""
        self.registry.request(method, f"{target(upload)}?digest={MISSING}", broken(chunk))
        if method == "PATCH":
            self.model.append(*upload, chunk, None)

    @rule(upload=uploads, name=names)
    def ask_status(self, upload: Upload, name: str) -> None:
        """Of its own repository, or of another one, which does not know it."""
        check(self.registry.request("GET", target((name, upload[1]))), self.model.status(name, upload[1]))

    @rule(upload=consumes(uploads))
    def cancel(self, upload: Upload) -> None:
        check(self.registry.request("DELETE", target(upload)), self.model.cancel(*upload))
        self.unless_ended(upload)

    @precondition(lambda self: self.ended)
    @rule(method=st.sampled_from(("GET", "PATCH", "PUT", "DELETE")), chunk=chunks)
    def use_ended(self, method: str, chunk: bytes) -> None:
        reply = self.registry.request(method, f"{target(self.ended[-1])}?digest={digest_of(chunk)}", chunk)
        check(reply, refused(404, "BLOB_UPLOAD_UNKNOWN"))

    @rule(target=manifests, name=names, manifest=images | images | indexes | others, complete=mostly,
          algorithm=algorithms, tags=st.lists(st.sampled_from(TAGS), max_size=3))  # fmt: skip
    def push_manifest(self, name: str, manifest: Manifest, complete: bool, algorithm: str, tags: list[str]) -> Manifest:
        """By digest, with any number of tags, and mostly after what it refers to."""
        for part in manifest.parts if complete else ():
            if isinstance(part, Blob):
                self.push(name, part, honest=True, streamed=False)
            else:
                self.put_manifest(name, part, part.digest(algorithm), [])
        self.put_manifest(name, manifest, manifest.digest(algorithm), tags)
        return manifest

    @rule(name=names, manifest=manifests, reference=references, tags=st.just([]) | st.just(["v1"]))
    def put_manifest(self, name: str, manifest: Manifest, reference: str, tags: list[str]) -> None:
        """By tag, by its digest, or by that of another manifest."""
        query = urlencode([("tag", tag) for tag in tags])
        headers = {"Content-Type": f"{manifest.media_type}; charset=utf-8"}
        reply = self.registry.request("PUT", f"/v2/{name}/manifests/{reference}?{query}", manifest.body, headers)
        check(reply, self.model.push_manifest(name, reference, tags, manifest))

    @rule(name=names, reference=references, method=reading, is_cached=st.booleans())
    def read_manifest(self, name: str, reference: str, method: str, is_cached: bool) -> None:
        expected = self.model.read_manifest(name, reference)
        self.registry.check_read(method, f"/v2/{name}/manifests/{reference}", expected, is_cached=is_cached)

    @rule(name=names, reference=references)
    def delete_manifest(self, name: str, reference: str) -> None:
        reply = self.registry.request("DELETE", f"/v2/{name}/manifests/{reference}")
        check(reply, self.model.delete_manifest(name, reference))

    @rule(name=names, size=page_sizes, last=st.none() | st.sampled_from(("A", "latest", "v1")))
    def list_tags(self, name: str, size: int | None, last: str | None) -> None:
        expected = self.model.list_tags(name)
        if expected.document is None:
            check(self.registry.request("GET", f"/v2/{name}/tags/list"), expected)
        else:
            self.registry.check_names(f"/v2/{name}/tags/list", expected.document["tags"], size, last)

    @rule(size=page_sizes, last=st.none() | st.sampled_from(("a", "b", "library/app")))
    def list_repositories(self, size: int | None, last: str | None) -> None:
        self.registry.check_names("/v2/_catalog", sorted(self.model.repositories), size, last)

    @rule(name=names, subject=subjects, artifact_type=st.none() | st.sampled_from(TYPES), size=st.integers(1, 3))
    def list_referrers(self, name: str, subject: str, artifact_type: str | None, size: int) -> None:
        query = {"n": size} if artifact_type is None else {"n": size, "artifactType": artifact_type}
        replies = self.registry.pages(f"/v2/{name}/referrers/{subject}?{urlencode(query)}")
        for reply in replies:
            assert (reply.status, reply.headers["content-type"]) == (200, OCI_INDEX)
            assert reply.headers.get("oci-filters-applied") == (artifact_type and "artifactType")
        found = [descriptor for reply in replies for descriptor in reply.json()["manifests"]]
        assert found == self.model.referrers(name, subject, artifact_type)

    @invariant()
    def look_now_and_then(self) -> None:
        self.steps += 1
        if self.steps % STEPS_BETWEEN_LOOKS == 0:
            self.registry.check_all(self.model.visible())

    def began(self, name: str, reply: Reply) -> Upload:
        """The upload that an answer speaks of."""
        upload_id = reply.headers["docker-upload-uuid"]
        check(reply, self.model.begin(name, upload_id))
        return name, upload_id

    def received(self, upload: Upload) -> bytes:
        """What was sent to an upload so far; nothing to one that a restoration has dropped."""
        known = self.model.uploads.get(upload[1])
        return b"" if known is None else known.content

    def start(self, upload: Upload, shift: int | None) -> int | None:
        """Where a chunk begins, so far from where it should; None where the client does not say."""
        return None if shift is None else max(len(self.received(upload)) + shift, 0)

    def unless_ended(self, upload: Upload) -> Upload | MultipleResults[Upload]:
        """The upload, for the next rule that uses it."""
        if upload[1] in self.model.uploads:
            return upload
        self.ended.append(upload)
        return multiple()
