"""Manifests over HTTP (end-3, end-7, end-9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from registry.oci import media_types
from registry.oci.manifest import LIMIT_BYTES
from registry.service.policy import Policy
from tests.tools.content import (
    CONFIG,
    LAYER_TYPE,
    descriptor,
    digest_of,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from registry.service.registry import Registry
    from registry.store.transactions import ReadTx
    from tests.tools.asgi import Client

ABSENT = digest_of(b"absent")


async def test_a_manifest_comes_back_byte_for_byte_with_its_type(client: Client) -> None:
    manifest = await push_image(client, "a/b", "v1", b"layer", indent="  kept  ")
    for reference, cache in (("v1", "no-cache"), (digest_of(manifest), "max-age=31536000, immutable")):
        get = await client("GET", f"/v2/a/b/manifests/{reference}")
        head = await client("HEAD", f"/v2/a/b/manifests/{reference}")
        assert (get.status, get.body) == (head.status, manifest) == (200, manifest)
        assert get.headers | {"x-request-id": ""} == head.headers | {"x-request-id": ""}
        assert get.headers["content-length"] == str(len(manifest))
        assert get.headers["content-type"] == media_types.OCI_IMAGE
        assert get.headers["docker-content-digest"] == digest_of(manifest)
        assert get.headers["cache-control"] == cache


@pytest.mark.parametrize("accept", ["*/*", media_types.DOCKER_IMAGE, media_types.OCI_INDEX, "text/html", ""])
async def test_accept_never_changes_the_answer(client: Client, accept: str) -> None:
    manifest = await push_image(client, "a", "v1")
    reply = await client("GET", "/v2/a/manifests/v1", headers={"Accept": accept})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, manifest, media_types.OCI_IMAGE)


@pytest.mark.parametrize("pattern", ['"{}"', 'W/"{}"', '"x", "{}"', "*"])
async def test_a_client_that_has_it_already_is_told_so(client: Client, pattern: str) -> None:
    digest = digest_of(await push_image(client, "a", "v1"))
    for method in ("GET", "HEAD"):
        reply = await client(method, "/v2/a/manifests/v1", headers={"If-None-Match": pattern.format(digest)})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", f'"{digest}"')
        assert "content-length" not in reply.headers
    reply = await client("GET", "/v2/a/manifests/v1", headers={"If-None-Match": '"other"'})
    assert reply.status == 200


@pytest.mark.parametrize("reference", ["v2", ABSENT, ".not-a-tag", "a" * 129])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_what_is_not_there_is_404(client: Client, method: str, reference: str) -> None:
    await push_image(client, "a", "v1")
    reply = await client(method, f"/v2/a/manifests/{reference}")
    assert reply.status == 404
    if method != "HEAD":
        assert reply.codes == ["MANIFEST_UNKNOWN"]


async def test_a_manifest_is_read_only_through_its_repository(client: Client) -> None:
    digest = digest_of(await push_image(client, "a", "v1"))
    assert (await client("GET", f"/v2/b/manifests/{digest}")).codes == ["MANIFEST_UNKNOWN"]


async def test_a_push_says_where_the_manifest_is(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    reply = await push_manifest(client, "a", "v1", image())
    digest = digest_of(image())
    assert (reply.status, reply.headers["location"]) == (201, f"/v2/a/manifests/{digest}")
    assert reply.headers["docker-content-digest"] == digest
    assert "oci-subject" not in reply.headers
    assert (await client("GET", reply.headers["location"])).body == image()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_push_by_digest_is_kept_under_that_digest(client: Client, algorithm: str) -> None:
    await push_blob(client, "a", CONFIG)
    digest = digest_of(image(), algorithm)
    reply = await push_manifest(client, "a", digest, image())
    assert (reply.status, reply.headers["docker-content-digest"]) == (201, digest)
    assert (await client("GET", f"/v2/a/manifests/{digest}")).headers["docker-content-digest"] == digest


async def test_a_push_under_another_digest_is_refused(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    reply = await push_manifest(client, "a", ABSENT, image())
    assert (reply.status, reply.codes) == (400, ["DIGEST_INVALID"])
    assert reply.json()["errors"][0]["detail"] == {"expected": ABSENT, "received": digest_of(image())}


async def test_a_push_by_digest_may_name_a_hundred_tags(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    tags = [f"{'t' * 100}-{number:03}" for number in range(100)]
    query = "&".join(f"tag={tag}" for tag in [*tags, tags[0]])
    reply = await push_manifest(client, "a", f"{digest_of(image())}?{query}", image())
    assert (reply.status, reply.headers["oci-tag"]) == (201, ", ".join(tags))
    assert (await client("GET", "/v2/a/tags/list")).json()["tags"] == tags


async def test_tags_beside_a_tag_are_refused(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    reply = await push_manifest(client, "a", "v1?tag=v2", image())
    assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])
    reply = await push_manifest(client, "a", f"{digest_of(image())}?tag=ok&tag=.bad", image())
    assert (reply.status, reply.codes) == (400, ["MANIFEST_INVALID"])
    assert (await client("GET", "/v2/a/tags/list")).json()["tags"] == []


async def test_missing_content_is_named_and_nothing_is_stored(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    await push_blob(client, "other", b"there")
    reply = await push_manifest(client, "a", "v1", image(b"gone", b"there"))
    assert (reply.status, reply.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"] * 2)
    missing = {error["detail"]["digest"] for error in reply.json()["errors"]}
    assert missing == {digest_of(b"gone"), digest_of(b"there")}
    assert (await client("GET", "/v2/a/manifests/v1")).status == 404


async def test_content_that_is_missing_twice_is_named_once(client: Client) -> None:
    reply = await push_manifest(client, "a", "v1", image(b"x", config=b"x"))
    assert reply.codes == ["MANIFEST_BLOB_UNKNOWN"]


async def test_an_error_names_a_hundred_missing_digests_at_most(client: Client) -> None:
    children = [to_json({"mediaType": "a/b", "n": number}) for number in range(150)]
    assert len((await push_manifest(client, "a", "v1", index(*children))).codes) == 100


async def test_a_child_may_be_a_manifest_or_a_blob(client: Client) -> None:
    child = await push_image(client, "a", "child")
    nested = index(child)
    assert (await push_manifest(client, "a", "nested", nested)).status == 201
    cache = to_json(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "manifests": [descriptor(CONFIG, LAYER_TYPE), descriptor(nested, media_types.OCI_INDEX)],
        }
    )
    assert (await push_manifest(client, "a", "cache", cache)).status == 201
    assert (await push_manifest(client, "a", "none", index(image(b"x")))).codes == ["MANIFEST_BLOB_UNKNOWN"]


async def test_a_child_may_be_deleted_and_the_index_stays(client: Client) -> None:
    child = await push_image(client, "a", "child")
    await push_manifest(client, "a", "all", index(child))
    assert (await client("DELETE", f"/v2/a/manifests/{digest_of(child)}")).status == 202
    assert (await client("GET", "/v2/a/manifests/all")).body == index(child)


@pytest.mark.parametrize("length_known", [True, False])
async def test_a_manifest_over_the_limit_is_413(client: Client, *, length_known: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (LIMIT_BYTES // 4)

    body = b" " * (LIMIT_BYTES + 1) if length_known else pieces()
    reply = await client("PUT", "/v2/a/manifests/v1", body)
    assert (reply.status, reply.codes) == (413, ["MANIFEST_INVALID"])


async def test_a_large_manifest_is_accepted(client: Client) -> None:
    manifest = await push_image(client, "a", "v1", annotations={"padding": "x" * 4_000_000})
    assert (await client("GET", "/v2/a/manifests/v1")).body == manifest


async def test_a_bad_manifest_is_400_in_the_envelope(client: Client) -> None:
    reply = await client("PUT", "/v2/a/manifests/v1", b"{", {"Content-Type": media_types.OCI_IMAGE})
    assert (reply.status, reply.codes) == (400, ["MANIFEST_INVALID"])


async def test_the_type_of_the_last_push_counts(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    bare = to_json({key: value for key, value in json.loads(image()).items() if key != "mediaType"})
    for media_type in sorted(media_types.IMAGES):
        assert (await client("PUT", "/v2/a/manifests/v1", bare, {"Content-Type": media_type})).status == 201
        assert (await client("GET", "/v2/a/manifests/v1")).headers["content-type"] == media_type


async def test_deleting_a_tag_leaves_the_manifest(client: Client) -> None:
    digest = digest_of(await push_image(client, "a", "v1"))
    assert (await client("DELETE", "/v2/a/manifests/v1")).status == 202
    assert (await client("GET", "/v2/a/manifests/v1")).status == 404
    assert (await client("GET", f"/v2/a/manifests/{digest}")).status == 200
    assert (await client("DELETE", "/v2/a/manifests/v1")).codes == ["MANIFEST_UNKNOWN"]


async def test_deleting_a_manifest_takes_its_tags(client: Client) -> None:
    manifest = await push_image(client, "a", "v1")
    await push_manifest(client, "a", "v2", manifest)
    await push_image(client, "a", "other", b"x")
    assert (await client("DELETE", f"/v2/a/manifests/{digest_of(manifest)}")).status == 202
    assert (await client("GET", "/v2/a/tags/list")).json()["tags"] == ["other"]
    assert (await client("GET", f"/v2/a/manifests/{digest_of(manifest)}")).status == 404


async def test_deleting_in_an_unknown_repository_is_404(client: Client) -> None:
    assert (await client("DELETE", "/v2/nobody/manifests/v1")).codes == ["NAME_UNKNOWN"]


async def test_every_change_of_a_tag_is_in_its_history(client: Client, registry: Registry) -> None:
    one = digest_of(await push_image(client, "a", "v1", b"1"))
    await push_image(client, "a", "v1", b"1")
    two = digest_of(await push_image(client, "a", "v1", b"2"))
    await client("DELETE", "/v2/a/manifests/v1")
    await push_image(client, "a", "v1", b"2")
    await client("DELETE", f"/v2/a/manifests/{two}")

    def history(tx: ReadTx) -> list[tuple[str, str | None, str | None]]:
        return tx.execute("SELECT principal, old_digest, new_digest FROM tag_history ORDER BY id").fetchall()

    changes = [(None, one), (one, two), (two, None), (None, two), (two, None)]
    assert registry.database.read_now(history) == [("anonymous", *change) for change in changes]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"{current}"'}, 201),
        ({"If-Match": '"other", "{current}"'}, 201),
        ({"If-Match": "*"}, 201),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": 'W/"{current}"'}, 412),
        ({"If-None-Match": '"other"'}, 201),
        ({"If-None-Match": "*"}, 412),
        ({"If-None-Match": '"{current}"'}, 412),
    ],
)
async def test_a_tag_is_moved_only_from_what_the_client_expects(
    client: Client, headers: dict[str, str], status: int
) -> None:
    current = digest_of(await push_image(client, "a", "v1"))
    new = image(number=2)
    headers = {name: value.format(current=current) for name, value in headers.items()}
    reply = await client("PUT", "/v2/a/manifests/v1", new, headers)
    assert reply.status == status
    if status == 412:
        assert reply.codes == ["DENIED"]
        assert reply.json()["errors"][0]["detail"] == {"current": current}
    after = await client("HEAD", "/v2/a/manifests/v1")
    assert after.headers["docker-content-digest"] == (digest_of(new) if status == 201 else current)


async def test_a_new_tag_and_a_delete_may_have_conditions_too(client: Client) -> None:
    await push_blob(client, "a", CONFIG)
    assert (await client("PUT", "/v2/a/manifests/v1", image(), {"If-Match": "*"})).status == 412
    assert (await client("PUT", "/v2/a/manifests/v1", image(), {"If-None-Match": "*"})).status == 201
    assert (await client("GET", "/v2/a/manifests/v1", headers={"If-Match": '"other"'})).status == 412
    assert (await client("DELETE", "/v2/a/manifests/v1", headers={"If-Match": '"other"'})).status == 412
    current = f'"{digest_of(image())}"'
    assert (await client("DELETE", "/v2/a/manifests/v1", headers={"If-Match": current})).status == 202


class TestSparse:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(allow_missing=True)

    async def test_content_may_be_missing_and_come_later(self, client: Client) -> None:
        assert (await push_manifest(client, "a", "v1", image(b"later"))).status == 201
        assert (await push_manifest(client, "a", "all", index(image(b"never")))).status == 201
        await push_blob(client, "a", b"later")
        reply = await client("DELETE", f"/v2/a/blobs/{digest_of(b'later')}")
        assert (reply.status, reply.codes) == (405, ["DENIED"])


class TestDeleteSwitchedOff:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(delete_enabled=False)

    async def test_every_delete_is_405(self, client: Client) -> None:
        digest = digest_of(await push_image(client, "a", "v1"))
        for path, allowed in (
            ("manifests/v1", "GET, HEAD, PUT"),
            (f"manifests/{digest}", "GET, HEAD, PUT"),
            (f"blobs/{digest_of(CONFIG)}", "GET, HEAD"),
            (f"blobs/{ABSENT}", "GET, HEAD"),
        ):
            reply = await client("DELETE", f"/v2/a/{path}")
            assert (reply.status, reply.codes, reply.headers["allow"]) == (405, ["UNSUPPORTED"], allowed)
