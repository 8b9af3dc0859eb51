"""Requests that the express lane takes, and such as are left to Hypercorn; and what they ask for."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.tools.content import CONFIG, digest_of, image
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tools.raw import Connection
    from tests.tools.sites import Sites

LAYER = b"layer" * 1000
LARGE = os.urandom(3 * 1024 * 1024)
MANIFEST = image(LAYER, LARGE)
DIGEST, MANIFEST_DIGEST = digest_of(LAYER), digest_of(MANIFEST)
BLOB = f"/v2/a/blobs/{DIGEST}"
TAGS = ("v1", "v2", "v3")
UPLOADS = "/v2/a/blobs/uploads/"
SESSION = f"{UPLOADS}00000000-0000-0000-0000-000000000000"
IMAGE = "Content-Type: application/vnd.oci.image.manifest.v1+json"

TAKEN = {
    "version check": request("GET", "/v2/"),
    "version check, HEAD": request("HEAD", "/v2/"),
    "version check with a query": request("GET", "/v2/?x=1"),
    "manifest by tag": request("GET", "/v2/a/manifests/v1", "Accept: */*"),
    "manifest by tag, HEAD": request("HEAD", "/v2/a/manifests/v1"),
    "manifest by digest": request("GET", f"/v2/a/manifests/{MANIFEST_DIGEST}"),
    "manifest that is known": request("GET", "/v2/a/manifests/v1", f'If-None-Match: "x", W/"{MANIFEST_DIGEST}"'),
    "manifest that is known, HEAD": request("HEAD", "/v2/a/manifests/v1", f'If-None-Match: "{MANIFEST_DIGEST}"'),
    "manifest that is another": request("GET", "/v2/a/manifests/v1", 'If-Match: "x"'),
    "unknown tag": request("GET", "/v2/a/manifests/none"),
    "unknown tag, HEAD": request("HEAD", "/v2/a/manifests/none"),
    "unknown repository": request("GET", "/v2/b/manifests/v1"),
    "no tag": request("GET", "/v2/a/manifests/.x"),
    "no digest": request("GET", "/v2/a/manifests/sha256:abc"),
    "no repository name": request("GET", "/v2/A/manifests/v1"),
    "a name like a path": request("GET", "/v2/a/manifests/v1/manifests/v1"),
    "a name like an upload": request("GET", "/v2/a/blobs/uploads/manifests/v1"),
    "blob": request("GET", BLOB),
    "blob, HEAD": request("HEAD", BLOB),
    "large blob": request("GET", f"/v2/a/blobs/{digest_of(LARGE)}"),
    "range": request("GET", BLOB, "Range: bytes=3-10"),
    "range of a large blob": request("GET", f"/v2/a/blobs/{digest_of(LARGE)}", "Range: bytes=1000-2000000"),
    "range from the end": request("GET", BLOB, "Range: bytes=-7"),
    "range behind the end": request("GET", BLOB, "Range: bytes=99999-"),
    "range upside down": request("GET", BLOB, "Range: bytes=500-0"),
    "two ranges": request("GET", BLOB, "Range: bytes=0-1,3-4"),
    "range of what is known": request("GET", BLOB, "Range: bytes=1-2", f'If-Range: "{DIGEST}"'),
    "range of another": request("GET", BLOB, "Range: bytes=1-2", 'If-Range: "x"'),
    "unknown blob": request("GET", f"/v2/a/blobs/{digest_of(b'none')}"),
    "blob of another repository": request("GET", f"/v2/b/blobs/{DIGEST}"),
    "tags": request("GET", "/v2/a/tags/list"),
    "tags, HEAD": request("HEAD", "/v2/a/tags/list"),
    "page of tags": request("GET", "/v2/a/tags/list?n=1&last=v1"),
    "no page": request("GET", "/v2/a/tags/list?n=-1"),
    "tags of nothing": request("GET", "/v2/b/tags/list"),
    "keep-alive": request("GET", "/v2/", "Connection: Keep-Alive"),
    "forwarded": request("GET", "/v2/", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"),
    "credentials that nobody asks for": request("GET", "/v2/", "Authorization: Basic eDp5"),
    "escapes in the query": request("GET", "/v2/a/tags/list?last=%76&n=+1"),
    "status of an upload": request("GET", SESSION),
    "status of an upload, HEAD": request("HEAD", SESSION),
    "blob pushed at once": request("POST", f"{UPLOADS}?digest={DIGEST.replace(':', '%3A')}", body=LAYER),
    "blob pushed in chunks": request("POST", f"{UPLOADS}?digest={digest_of(LARGE)}", chunks=[LARGE[:9], LARGE[9:]]),
    "blob of nothing": request("POST", f"{UPLOADS}?digest={digest_of(b'')}", "Content-Length: 0"),
    "blob with another digest": request("POST", f"{UPLOADS}?digest={DIGEST}", body=LARGE),
    "blob with no digest": request("POST", f"{UPLOADS}?digest=x", body=LARGE),
    "mount": request("POST", f"{UPLOADS}?mount={DIGEST}&from=a"),
    "chunk of no upload": request("PATCH", SESSION, body=LAYER),
    "large chunk of no upload": request("PATCH", SESSION, body=LARGE),
    "chunk of no upload, in chunks": request("PATCH", SESSION, chunks=[b"x" * 1000] * 10),
    "end of no upload": request("PUT", f"{SESSION}?digest={DIGEST}"),
    "end without a digest": request("PUT", SESSION, body=b"x"),
    "chunk with an odd range": request("PATCH", SESSION, "Content-Range: x", body=b"x"),
    "manifest pushed": request("PUT", "/v2/a/manifests/v1", IMAGE, body=MANIFEST),
    "manifest pushed in chunks": request("PUT", "/v2/a/manifests/v1", IMAGE, chunks=[MANIFEST[:9], MANIFEST[9:]]),
    "manifest that is none": request("PUT", "/v2/a/manifests/v1", IMAGE, body=b"{"),
    "manifest of nothing": request("PUT", "/v2/a/manifests/v1", IMAGE),
    "manifest that is there": request("PUT", "/v2/a/manifests/v1", IMAGE, "If-None-Match: *", body=MANIFEST),
    "manifest that is too large": request("PUT", "/v2/a/manifests/v1", IMAGE, body=b" " * (4 * 1024 * 1024 + 1)),
    "manifest with another digest": request("PUT", f"/v2/a/manifests/{DIGEST}", IMAGE, body=MANIFEST),
}

NOT_UNDERSTOOD = {
    "another method": request("DELETE", "/v2/a/manifests/none"),
    "unknown method": request("get", "/v2/"),
    "absolute target": request("GET", "http://registry/v2/"),
    "escapes": request("GET", "/v2/a/manifests/v%31"),
    "odd characters in the query": request("GET", "/v2/a/tags/list?last='"),
    "two slashes": request("GET", "/v2//a/manifests/v1"),
    "two slashes at first": request("GET", "//v2/"),
    "no end point": request("GET", "/v2/a/manifests/"),
    "no blob": request("GET", "/v2/a/blobs/none"),
    "a method that a blob has not": request("PUT", BLOB, body=b"x"),
    "a method that the uploads have not": request("GET", "/v2/a/blobs/uploads/"),
    "a body whose length is said twice": request("PUT", "/v2/a/manifests/v1", "Content-Length: 1, 1") + b"x",
    "a body with two ends": request("PUT", "/v2/a/manifests/v1", "Content-Length: 1", chunks=[b"x"]),
    "a body with a negative length": request("PUT", "/v2/a/manifests/v1", "Content-Length: -1"),
    "a body with another coding": request("PUT", "/v2/a/manifests/v1", "Transfer-Encoding: gzip, chunked"),
    "another expectation": request("PUT", "/v2/a/manifests/v1", "Expect: x", body=b"x"),
    "catalog": request("GET", "/v2/_catalog"),
    "a body": request("GET", "/v2/", body=b"x"),
    "no body, said twice": request("GET", "/v2/", "Content-Length: 0"),
    "a chunked body": request("GET", "/v2/", chunks=[b"x"]),
    "the last request": request("GET", "/v2/", "Connection: close"),
    "an upgrade": request("GET", "/v2/", "Connection: Upgrade", "Upgrade: h2c"),
    "a header twice": request("GET", "/v2/", "Accept: a", "Accept: b"),
    "two hosts": request("GET", "/v2/", "Host: other"),
    "no host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "a host that is none": b"GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a tab": request("GET", "/v2/", "Accept:\ta"),
    "a fold": request("GET", "/v2/", "Accept: a\r\n b"),
    "a space before the colon": request("GET", "/v2/", "Accept : a"),
    "a lone LF": request("GET", "/v2/", "Accept: a\nX: y"),
    "a lone CR": request("GET", "/v2/", "Accept: a\rX: y"),
    "more than ASCII": request("GET", "/v2/", "Accept: \xe9"),
    "HTTP/1.0": request("GET", "/v2/").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a head of 100 KB": request("GET", "/v2/", f"X: {'x' * 100_000}"),
}


def fill(sites: Sites) -> None:
    with connect(sites.without_lane) as client:
        for content in (CONFIG, LAYER, LARGE):
            client.send(request("POST", f"/v2/a/blobs/uploads/?digest={digest_of(content)}", body=content))
            assert client.answer().status == 201
        for tag in TAGS:
            client.send(request("PUT", f"/v2/a/manifests/{tag}", IMAGE, body=MANIFEST))
            assert client.answer().status == 201


@contextmanager
def two_ways(sites: Sites) -> Iterator[tuple[Connection, Connection]]:
    with connect(sites.both) as quick, connect(sites.without_lane) as slow:
        yield quick, slow
