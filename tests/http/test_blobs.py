"""Blobs over HTTP (end-2, end-10)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.tools.content import CONFIG, digest_of, push_blob, push_image

if TYPE_CHECKING:
    from tests.tools.asgi import Client

CONTENT = bytes(range(256)) * 4
DIGEST = digest_of(CONTENT)
URL = f"/v2/a/blobs/{DIGEST}"


async def test_a_blob_comes_back_with_its_headers(client: Client) -> None:
    await push_blob(client, "a", CONTENT)
    get, head = await client("GET", URL), await client("HEAD", URL)
    assert (get.status, get.body, head.status, head.body) == (200, CONTENT, 200, b"")
    assert get.headers | {"x-request-id": ""} == head.headers | {"x-request-id": ""}
    expected = {
        "content-length": "1024",
        "content-type": "application/octet-stream",
        "docker-content-digest": DIGEST,
        "docker-distribution-api-version": "registry/2.0",
        "etag": f'"{DIGEST}"',
        "cache-control": "max-age=31536000, immutable",
        "accept-ranges": "bytes",
    }
    assert expected.items() <= get.headers.items()


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_blobs_of_any_size_and_algorithm(client: Client, size: int, algorithm: str) -> None:
    content = os.urandom(size)
    digest = await push_blob(client, "a", content, algorithm)
    assert (await client("GET", f"/v2/a/blobs/{digest}")).body == content


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-0", CONTENT[:1], "bytes 0-0/1024"),
        ("bytes=5-9", CONTENT[5:10], "bytes 5-9/1024"),
        ("bytes=1000-", CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=-10", CONTENT[-10:], "bytes 1014-1023/1024"),
        ("bytes=1000-9999", CONTENT[1000:], "bytes 1000-1023/1024"),
    ],
)
async def test_a_range(client: Client, header: str, part: bytes, content_range: str) -> None:
    await push_blob(client, "a", CONTENT)
    reply = await client("GET", URL, headers={"Range": header})
    assert (reply.status, reply.body) == (206, part)
    assert reply.headers["content-range"] == content_range
    assert reply.headers["content-length"] == str(len(part))
    assert (await client("HEAD", URL, headers={"Range": header})).status == 200


@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=1024-", "bytes=1024-2000", "bytes=-0"])
async def test_a_range_outside_is_416(client: Client, header: str) -> None:
    await push_blob(client, "a", CONTENT)
    reply = await client("GET", URL, headers={"Range": header})
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */1024")
    assert reply.codes == ["SIZE_INVALID"]


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "lines=0-1", "bytes=x-y", "bytes"])
async def test_what_is_no_single_range_gets_the_whole(client: Client, header: str) -> None:
    await push_blob(client, "a", CONTENT)
    reply = await client("GET", URL, headers={"Range": header})
    assert (reply.status, reply.body) == (200, CONTENT)


@pytest.mark.parametrize(("validator", "status"), [(f'"{DIGEST}"', 206), ('"other"', 200)])
async def test_a_range_of_another_version_gets_the_whole(client: Client, validator: str, status: int) -> None:
    await push_blob(client, "a", CONTENT)
    reply = await client("GET", URL, headers={"Range": "bytes=0-0", "If-Range": validator})
    assert reply.status == status


async def test_a_client_that_has_it_already_is_told_so(client: Client) -> None:
    await push_blob(client, "a", CONTENT)
    for method in ("GET", "HEAD"):
        reply = await client(method, URL, headers={"If-None-Match": f'"{DIGEST}"', "Range": "bytes=5-"})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", f'"{DIGEST}"')


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_blob_is_known_only_in_its_repository(client: Client, method: str) -> None:
    await push_blob(client, "a", CONTENT)
    reply = await client(method, f"/v2/b/blobs/{DIGEST}")
    assert reply.status == 404
    if method != "HEAD":
        assert reply.codes == ["BLOB_UNKNOWN"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_bad_digest_is_400(client: Client, method: str) -> None:
    reply = await client(method, "/v2/a/blobs/sha256:abc")
    assert reply.status == 400
    if method != "HEAD":
        assert reply.codes == ["DIGEST_INVALID"]


async def test_deleting_takes_the_blob_out_of_its_repository_only(client: Client) -> None:
    for name in ("a", "b"):
        await push_blob(client, name, CONTENT)
    assert (await client("DELETE", URL)).status == 202
    assert (await client("GET", URL)).status == 404
    assert (await client("GET", f"/v2/b/blobs/{DIGEST}")).body == CONTENT
    await push_blob(client, "a", CONTENT)
    assert (await client("GET", URL)).body == CONTENT


async def test_a_blob_in_use_can_not_be_deleted_until_its_manifests_are(client: Client) -> None:
    manifest = await push_image(client, "a", "v1", CONTENT)
    for content in (CONTENT, CONFIG):
        reply = await client("DELETE", f"/v2/a/blobs/{digest_of(content)}")
        assert (reply.status, reply.codes) == (405, ["DENIED"])
        assert reply.json()["errors"][0]["detail"] == {"manifests": [digest_of(manifest)]}
    await client("DELETE", f"/v2/a/manifests/{digest_of(manifest)}")
    assert (await client("DELETE", URL)).status == 202


async def test_a_manifest_of_another_repository_is_no_reason_to_keep_a_blob(client: Client) -> None:
    await push_image(client, "other", "v1", CONTENT)
    await push_blob(client, "a", CONTENT)
    assert (await client("DELETE", URL)).status == 202
