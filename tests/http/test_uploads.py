"""Blob uploads over HTTP (end-4, end-5, end-6, end-11, end-13, end-14)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.tools.content import begin_upload, digest_of, push_blob

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.tools.asgi import Client, Reply

CONTENT = b"0123456789"
DIGEST = digest_of(CONTENT)


async def finish(client: Client, url: str, body: bytes = b"", digest: str = DIGEST, **headers: str) -> Reply:
    return await client("PUT", f"{url}?digest={digest}", body, _header_names(headers))


async def patch(client: Client, url: str, body: bytes, **headers: str) -> Reply:
    return await client("PATCH", url, body, _header_names(headers))


def _header_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def stored(client: Client, digest: str = DIGEST, name: str = "a") -> bytes:
    reply = await client("GET", f"/v2/{name}/blobs/{digest}")
    assert reply.status == 200
    return reply.body


async def test_a_session_says_where_to_go_on(client: Client) -> None:
    for path in ("/v2/a/b/blobs/uploads/", "/v2/a/b/blobs/uploads"):
        reply = await client("POST", path)
        upload_id = reply.headers["docker-upload-uuid"]
        assert (reply.status, reply.headers["range"]) == (202, "0-0")
        assert reply.headers["location"] == f"/v2/a/b/blobs/uploads/{upload_id}"
        assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", upload_id)
        assert "oci-chunk-min-length" not in reply.headers


async def test_post_then_put(client: Client) -> None:
    reply = await finish(client, await begin_upload(client, "a"), CONTENT)
    assert (reply.status, reply.headers["location"]) == (201, f"/v2/a/blobs/{DIGEST}")
    assert reply.headers["docker-content-digest"] == DIGEST
    assert await stored(client) == CONTENT


@pytest.mark.parametrize("last_by_put", [True, False])
async def test_chunks(client: Client, *, last_by_put: bool) -> None:
    url = await begin_upload(client, "a")
    chunks = [(b"012", "0-2"), (b"345678", "3-8"), (b"9", "9-9")]
    for body, content_range in chunks[: 2 if last_by_put else 3]:
        reply = await patch(client, url, body, Content_Range=content_range)
        assert (reply.status, reply.headers["range"]) == (202, f"0-{content_range.split('-')[1]}")
        url = reply.headers["location"]
    last = (b"9", {"Content_Range": "9-9"}) if last_by_put else (b"", {})
    assert (await finish(client, url, last[0], **last[1])).status == 201
    assert await stored(client) == CONTENT


async def test_a_stream_without_length_or_range(client: Client) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for number in range(40):
            yield bytes([number]) * 100_000

    url = await begin_upload(client, "a")
    reply = await client("PATCH", url, pieces())
    assert (reply.status, reply.headers["range"]) == (202, "0-3999999")
    digest = digest_of(b"".join(bytes([number]) * 100_000 for number in range(40)))
    assert (await finish(client, url, digest=digest)).status == 201


async def test_the_status_and_the_cancel_of_a_session(client: Client, tmp_path: Path) -> None:
    url = await begin_upload(client, "a")
    assert (await client("GET", url)).headers["range"] == "0-0"
    await patch(client, url, b"012")
    status = await client("GET", url)
    assert (status.status, status.headers["range"], status.headers["location"]) == (204, "0-2", url)
    assert (await client("DELETE", url)).status == 204
    for method in ("GET", "DELETE", "PATCH"):
        assert (await client(method, url)).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert (await finish(client, url)).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert os.listdir(tmp_path / "data/uploads") == []


@pytest.mark.parametrize("content_range", ["0-2", "2-4", "4-6", "9-9"])
async def test_a_chunk_out_of_order_is_416_with_the_true_range(client: Client, content_range: str) -> None:
    url = await begin_upload(client, "a")
    await patch(client, url, b"012", Content_Range="0-2")
    body = b"x" * (int(content_range[2]) - int(content_range[0]) + 1)
    for reply in (
        await patch(client, url, body, Content_Range=content_range),
        await finish(client, url, body, Content_Range=content_range),
    ):
        assert (reply.status, reply.codes) == (416, ["BLOB_UPLOAD_INVALID"])
        assert (reply.headers["range"], reply.headers["location"]) == ("0-2", url)
    assert (await finish(client, url, CONTENT[3:], Content_Range="3-9")).status == 201


@pytest.mark.parametrize(
    ("content_range", "code"),
    [
        ("bytes 0-2", "BLOB_UPLOAD_INVALID"),
        ("2-0", "BLOB_UPLOAD_INVALID"),
        ("0-3", "SIZE_INVALID"),
        ("0-1", "SIZE_INVALID"),
    ],
)
async def test_a_chunk_whose_headers_contradict_is_400_and_changes_nothing(
    client: Client, content_range: str, code: str
) -> None:
    url = await begin_upload(client, "a")
    reply = await patch(client, url, b"012", Content_Range=content_range)
    assert (reply.status, reply.codes) == (400, [code])
    assert (await client("GET", url)).headers["range"] == "0-0"
    assert (await finish(client, url, CONTENT)).status == 201


@pytest.mark.parametrize("content_range", ["0-5", "0-20"])
async def test_a_chunked_body_has_to_keep_to_its_content_range(client: Client, content_range: str) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"01234"
        yield b"56789"

    url = await begin_upload(client, "a")
    reply = await client("PATCH", url, pieces(), {"Content-Range": content_range})
    assert (reply.status, reply.codes) == (400, ["SIZE_INVALID"])
    assert (await client("GET", url)).headers["range"] == "0-0"


async def test_a_wrong_digest_leaves_the_session_as_it_was(client: Client) -> None:
    url = await begin_upload(client, "a")
    await patch(client, url, CONTENT[:5])
    for body in (b"wrong", b""):
        reply = await finish(client, url, body)
        assert (reply.status, reply.codes) == (400, ["DIGEST_INVALID"])
        assert (await client("GET", url)).headers["range"] == "0-4"
    assert (await finish(client, url, CONTENT[5:])).status == 201
    assert await stored(client) == CONTENT


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha256:x", f"?digest=md5:{'0' * 32}"])
async def test_closing_needs_a_digest(client: Client, query: str) -> None:
    url = await begin_upload(client, "a")
    reply = await client("PUT", f"{url}{query}", CONTENT)
    assert (reply.status, reply.codes) == (400, ["DIGEST_INVALID"])
    assert (await finish(client, url, CONTENT)).status == 201


async def test_the_empty_blob(client: Client) -> None:
    empty = digest_of(b"")
    assert (await finish(client, await begin_upload(client, "a"), digest=empty)).status == 201
    assert await stored(client, empty) == b""
    assert (await client("POST", f"/v2/b/blobs/uploads/?digest={empty}")).status == 201


@pytest.mark.parametrize("announced", ["", "?digest-algorithm=sha256", "?digest-algorithm=sha512"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("split", [0, 4, 10])
async def test_the_closing_digest_may_use_any_algorithm(
    client: Client, announced: str, algorithm: str, split: int
) -> None:
    url = await begin_upload(client, "a", announced)
    if split:
        await patch(client, url, CONTENT[:split])
    digest = digest_of(CONTENT, algorithm)
    assert (await finish(client, url, CONTENT[split:], digest)).status == 201
    assert await stored(client, digest) == CONTENT


async def test_an_unknown_algorithm_is_400(client: Client) -> None:
    reply = await client("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5")
    assert (reply.status, reply.codes) == (400, ["DIGEST_INVALID"])


async def test_a_single_post(client: Client, tmp_path: Path) -> None:
    reply = await client("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", CONTENT)
    assert (reply.status, reply.headers["location"]) == (201, f"/v2/a/blobs/{DIGEST}")
    reply = await client("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", b"wrong")
    assert (reply.status, reply.codes) == (400, ["DIGEST_INVALID"])
    assert os.listdir(tmp_path / "data/uploads") == []


async def test_a_session_belongs_to_its_repository(client: Client) -> None:
    url = await begin_upload(client, "a")
    elsewhere = url.replace("/v2/a/", "/v2/b/")
    for method in ("GET", "PATCH", "DELETE"):
        assert (await client(method, elsewhere)).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert (await finish(client, elsewhere, CONTENT)).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert (await finish(client, url, CONTENT)).status == 201


class TestMount:
    @pytest.mark.parametrize("query", ["&from=source", ""])
    async def test_a_blob_of_another_repository(self, client: Client, query: str) -> None:
        await push_blob(client, "source", CONTENT)
        reply = await client("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}{query}")
        assert (reply.status, reply.headers["location"]) == (201, f"/v2/a/blobs/{DIGEST}")
        assert reply.headers["docker-content-digest"] == DIGEST
        assert await stored(client) == CONTENT

    @pytest.mark.parametrize("source", ["&from=source", "&from=nobody", "", "&from=Not/A/Name"])
    async def test_what_can_not_be_mounted_may_be_uploaded(self, client: Client, source: str) -> None:
        await push_blob(client, "source", b"other")
        reply = await client("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}{source}")
        assert reply.status == 202
        assert (await finish(client, reply.headers["location"], CONTENT)).status == 201

    async def test_not_from_a_repository_that_has_it_no_more(self, client: Client) -> None:
        await push_blob(client, "source", CONTENT)
        await client("DELETE", f"/v2/source/blobs/{DIGEST}")
        for query in ("&from=source", ""):
            assert (await client("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}{query}")).status == 202

    async def test_a_bad_digest_is_400(self, client: Client) -> None:
        assert (await client("POST", "/v2/a/blobs/uploads/?mount=x&from=b")).codes == ["DIGEST_INVALID"]
