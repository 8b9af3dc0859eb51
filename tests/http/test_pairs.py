"""A walk over every pair of end points: whatever came before, each answer keeps to the rules that all answers have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.http.app import make_app
from registry.http.routes import ROUTES
from registry.oci.media_types import OCI_INDEX
from tests.tools.asgi import ERROR_CODES, Client
from tests.tools.content import begin_upload, digest_of, image, index, push_blob, push_manifest, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from registry.service.registry import Registry
    from tests.tools.asgi import Reply

BLOB = b"a blob"
DIGEST = digest_of(BLOB)
EMPTY = index()
IMAGE = image(config=BLOB)
REFERRER = index(subject={"mediaType": OCI_INDEX, "digest": digest_of(EMPTY), "size": len(EMPTY)})
NOTE = to_json({"mediaType": "application/vnd.example+json", "part": {"digest": DIGEST, "size": len(BLOB)}})
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Sample:
    """A request. ``{name}`` and ``{upload}`` in its target stand for the pair's own repository and upload."""

    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.target} {self.headers or ''}"


def samples(methods: str, target: str, body: bytes = b"", **headers: str) -> Iterator[Sample]:
    """The same request with each of the methods."""
    for method in methods.split():
        yield Sample(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})


PROBES = [
    *samples("GET HEAD", "/live"),
    *samples("GET HEAD", "/healthz"),
    *samples("GET HEAD", "/ready"),
    *samples("GET HEAD", "/metrics"),
    *samples("GET", "/ready?verbose&push"),
    *samples("GET HEAD", "/v2/"),
    *samples("GET HEAD", "/v2"),
    *samples("GET HEAD", "/v2/_oci/ext/discover"),
    *samples("GET HEAD POST", "/token"),
]
LISTINGS = [
    *samples("GET HEAD", "/v2/_catalog?n=2"),
    *samples("GET", "/v2/_catalog?n=-1"),
    *samples("GET HEAD", "/v2/{name}/tags/list"),
    *samples("GET", "/v2/{name}/tags/list?n=0&last=v1"),
    *samples("GET HEAD", f"/v2/{{name}}/referrers/{digest_of(EMPTY)}?artifactType=a/b"),
    *samples("GET", "/v2/{name}/referrers/sha256:0"),
]
MANIFESTS = [
    *samples("GET HEAD DELETE", "/v2/{name}/manifests/v1"),
    *samples("GET HEAD DELETE", f"/v2/{{name}}/manifests/{digest_of(EMPTY)}"),
    *samples("GET HEAD DELETE", "/v2/{name}/manifests/sha256:0"),
    *samples("GET HEAD", "/v2/{name}/manifests/v1", If_None_Match="*"),
    *samples("PUT", "/v2/{name}/manifests/v1", EMPTY, Content_Type=OCI_INDEX),
    *samples("PUT", f"/v2/{{name}}/manifests/{digest_of(EMPTY)}?tag=v1&tag=v2", EMPTY),
    *samples("PUT", f"/v2/{{name}}/manifests/{DIGEST}", EMPTY),
    *samples("PUT", "/v2/{name}/manifests/v1", REFERRER),
    *samples("PUT", "/v2/{name}/manifests/v1", IMAGE),
    *samples("PUT", "/v2/{name}/manifests/v1", NOTE),
    *samples("PUT", "/v2/{name}/manifests/v1", b"[" * 99),
    *samples("PUT", "/v2/{name}/manifests/-", EMPTY),
]
BLOBS = [
    *samples("GET HEAD DELETE", f"/v2/{{name}}/blobs/{DIGEST}"),
    *samples("GET HEAD", f"/v2/{{name}}/blobs/{DIGEST}", If_None_Match="*"),
    *samples("GET", f"/v2/{{name}}/blobs/{DIGEST}", Range="bytes=1-2"),
    *samples("GET", f"/v2/{{name}}/blobs/{DIGEST}", Range="bytes=9-"),
    *samples("GET HEAD DELETE", "/v2/{name}/blobs/md5:0"),
]
UPLOADS = [
    *samples("POST", "/v2/{name}/blobs/uploads/"),
    *samples("POST", "/v2/{name}/blobs/uploads?digest-algorithm=md5"),
    *samples("POST", f"/v2/{{name}}/blobs/uploads/?digest={DIGEST}", BLOB),
    *samples("POST", f"/v2/{{name}}/blobs/uploads/?digest={DIGEST}", b"another"),
    *samples("POST", f"/v2/{{name}}/blobs/uploads/?mount={DIGEST}"),
    *samples("POST", f"/v2/{{name}}/blobs/uploads/?mount={DIGEST}&from=no/such"),
    *samples("GET HEAD PATCH DELETE", "/v2/{name}/blobs/uploads/{upload}", BLOB),
    *samples("PATCH", "/v2/{name}/blobs/uploads/{upload}", BLOB, Content_Range="0-5"),
    *samples("PATCH", "/v2/{name}/blobs/uploads/{upload}", BLOB, Content_Range="7-3"),
    *samples("PUT", f"/v2/{{name}}/blobs/uploads/{{upload}}?digest={DIGEST}"),
    *samples("PUT", f"/v2/{{name}}/blobs/uploads/{{upload}}?digest={DIGEST}", BLOB),
    *samples("PUT", "/v2/{name}/blobs/uploads/{upload}", BLOB),
    *samples("HEAD GET PATCH PUT DELETE", f"/v2/{{name}}/blobs/uploads/{NO_UPLOAD}?digest={DIGEST}"),
]
REFUSED = [
    *samples("POST", "/live"),
    *samples("DELETE OPTIONS", "/v2/"),
    *samples("POST", "/v2/{name}/manifests/v1"),
    *samples("PUT PATCH", f"/v2/{{name}}/blobs/{DIGEST}", BLOB),
    *samples("GET", "/v2/{name}/blobs/uploads/"),
    *samples("POST", "/v2/{name}/tags/list"),
    *samples("GET", "/v2/{name}"),
    *samples("GET BREW", "/v2/{name}/no/such/end/point"),
    *samples("GET", "/v2/UPPER/{name}/tags/list"),
]
SAMPLES = [*PROBES, *LISTINGS, *MANIFESTS, *BLOBS, *UPLOADS, *REFUSED]


class Walk:
    """Sends samples; ``reached`` collects the end points that answered, ``failures`` the answers that broke a rule."""

    def __init__(self, registry: Registry) -> None:
        self._app: Any = make_app(registry)
        self.client = Client(self._recording)
        self.reached: set[tuple[str, str]] = set()
        self.failures: list[str] = []

    async def _recording(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        if scope["cargohold"].route:
            self.reached.add((scope["cargohold"].route, scope["method"]))

    async def send(self, sample: Sample, name: str, upload: str) -> None:
        target = sample.target.replace("{name}", name).replace("{upload}", upload)
        reply = await self.client(sample.method, target, sample.body, sample.headers)
        check(sample.method, reply)
        if sample.method in {"GET", "HEAD"} and ("/manifests/" in target or "/blobs/sha256" in target):
            other = "HEAD" if sample.method == "GET" else "GET"
            if "Range" not in sample.headers:
                check_same_headers(reply, await self.client(other, target, sample.body, sample.headers))

    async def send_pair(self, pair: tuple[Sample, Sample], name: str) -> None:
        upload = (await begin_upload(self.client, name)).rpartition("/")[2]
        for sample in pair:
            try:
                await self.send(sample, name, upload)
            except AssertionError as error:
                self.failures.append(f"{' then '.join(map(str, pair))}: {sample.method} {error}")


def check(method: str, reply: Reply) -> None:
    assert 200 <= reply.status < 500
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"
    if reply.status in {204, 304}:
        assert "content-length" not in reply.headers
        assert reply.body == b""
    elif method == "HEAD":
        assert int(reply.headers["content-length"]) >= 0
    else:
        assert int(reply.headers["content-length"]) == len(reply.body)
    if reply.status >= 400:
        assert reply.headers["content-type"] == "application/json"
    if reply.status >= 400 and method != "HEAD":
        check_envelope(reply.json())
    if reply.status == 405:
        assert method not in reply.headers["allow"].split(", ") or "DENIED" in reply.codes


def check_envelope(document: Any) -> None:
    assert document.keys() == {"errors"}
    assert document["errors"]
    for error in document["errors"]:
        assert error.keys() == {"code", "message", "detail"}
        assert error["code"] in ERROR_CODES
        assert error["message"]


def check_same_headers(one: Reply, other: Reply) -> None:
    """Of the answers to GET and HEAD."""
    of_each_request = {"x-request-id", "date"}
    assert one.status == other.status
    assert {name: value for name, value in one.headers.items() if name not in of_each_request} == {
        name: value for name, value in other.headers.items() if name not in of_each_request
    }


async def test_the_samples_reach_every_end_point_with_every_method(registry: Registry) -> None:
    walk = Walk(registry)
    for sample in SAMPLES:
        await walk.send(sample, "every/one", NO_UPLOAD)
    methods = {(route.name, method) for route in ROUTES for method in route.methods}
    assert walk.reached == methods | {(name, "HEAD") for name, method in methods if method == "GET"}


def pairs(of: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    return ((first, second) for first in of for second in of)


async def test_every_pair_of_requests_is_answered_by_the_rules(registry: Registry) -> None:
    walk = Walk(registry)
    for number, pair in enumerate(pairs(SAMPLES)):
        await walk.send_pair(pair, f"pair/{number}")
    assert not walk.failures


async def test_the_same_in_repositories_that_have_an_image(registry: Registry) -> None:
    walk = Walk(registry)
    await push_blob(walk.client, "origin", BLOB)
    for number, pair in enumerate(pairs([*MANIFESTS, *BLOBS, *UPLOADS])):
        name = f"pair/{number}"
        await walk.client("POST", f"/v2/{name}/blobs/uploads/?mount={DIGEST}&from=origin")
        await push_manifest(walk.client, name, "v1", IMAGE)
        await walk.send_pair(pair, name)
    assert not walk.failures
