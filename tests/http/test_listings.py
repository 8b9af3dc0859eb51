"""Tags, repositories, referrers and extensions over HTTP (end-1, end-8, end-12)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from registry.oci.media_types import OCI_IMAGE, OCI_INDEX
from tests.tools.content import CONFIG_TYPE, descriptor, digest_of, image, index, push_image, push_manifest, to_json

if TYPE_CHECKING:
    from tests.tools.asgi import Client, Reply

PLUS = "artifactType=e/f+json"
TAGS = ["1.0", "1.0-rc", "B", "Z", "_x", "a", "latest"]


def next_page(reply: Reply) -> str | None:
    match = re.fullmatch(r'<(/v2/.*)>; rel="next"', reply.headers.get("link", ""))
    return None if match is None else match.group(1)


async def walk(client: Client, url: str | None, key: str) -> list[list[Any]]:
    """Every page from ``url`` on."""
    pages = []
    while url is not None:
        reply = await client("GET", url)
        assert reply.status == 200
        pages.append(reply.json()[key])
        url = next_page(reply)
    return pages


async def test_the_version_check(client: Client) -> None:
    for path in ("/v2/", "/v2"):
        reply = await client("GET", path)
        assert (reply.status, reply.json()) == (200, {})
        assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


class TestTags:
    @pytest.fixture
    async def client(self, client: Client) -> Client:
        """The client, with the tags pushed."""
        for tag in reversed(TAGS):
            await push_image(client, "a", tag)
        return client

    async def test_all_of_them_in_the_order_of_their_bytes(self, client: Client) -> None:
        reply = await client("GET", "/v2/a/tags/list")
        assert reply.json() == {"name": "a", "tags": TAGS}
        assert "link" not in reply.headers

    async def test_pages_are_linked(self, client: Client) -> None:
        pages = await walk(client, "/v2/a/tags/list?n=3", "tags")
        assert pages == [TAGS[:3], TAGS[3:6], TAGS[6:]]
        assert await walk(client, "/v2/a/tags/list?n=7", "tags") == [TAGS]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("n=0", []),
            ("n=0&last=B", []),
            ("last=B", TAGS[3:]),
            ("last=C", TAGS[3:]),
            ("last=latest", []),
            ("n=2&last=Z", TAGS[4:6]),
            ("n=00000000000000000000000000002", TAGS[:2]),
            (f"n={'9' * 400}", TAGS),
            ("n=2000", TAGS),
            ("last=", TAGS),
        ],
    )
    async def test_n_and_last(self, client: Client, query: str, expected: list[str]) -> None:
        reply = await client("GET", f"/v2/a/tags/list?{query}")
        assert reply.json()["tags"] == expected
        if query.startswith("n=0&") or query == "n=0":
            assert "link" not in reply.headers

    @pytest.mark.parametrize("query", ["n=-1", "n=x", "n=", "n=1.5", "n=%C2%B2", "n=1&n=2", "last=a&last=b"])
    async def test_a_bad_parameter_is_400(self, client: Client, query: str) -> None:
        reply = await client("GET", f"/v2/a/tags/list?{query}")
        assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])

    async def test_a_page_has_a_thousand_at_most(self, client: Client) -> None:
        query = "&".join(f"tag=t{number:04}" for number in range(600))
        more = "&".join(f"tag=u{number:04}" for number in range(600))
        for tags in (query, more):
            assert (await push_manifest(client, "a", f"{digest_of(image())}?{tags}", image())).status == 201
        pages = await walk(client, "/v2/a/tags/list?n=100000", "tags")
        assert [len(page) for page in pages] == [1000, 207]


async def test_tags_of_an_unknown_repository_are_404_and_of_one_without_tags_none(client: Client) -> None:
    assert (await client("GET", "/v2/a/tags/list")).codes == ["NAME_UNKNOWN"]
    await push_image(client, "a", "v1")
    await client("DELETE", "/v2/a/manifests/v1")
    assert (await client("GET", "/v2/a/tags/list")).json() == {"name": "a", "tags": []}


@pytest.mark.parametrize("name", ["a/manifests", "tags/list", "a/blobs/uploads", "v2", "a/referrers/b", "blobs"])
async def test_a_repository_may_be_called_like_an_end_point(client: Client, name: str) -> None:
    manifest = await push_image(client, name, "v1", b"layer")
    assert (await client("GET", f"/v2/{name}/manifests/v1")).body == manifest
    assert (await client("GET", f"/v2/{name}/blobs/{digest_of(b'layer')}")).body == b"layer"
    assert (await client("GET", f"/v2/{name}/tags/list")).json() == {"name": name, "tags": ["v1"]}
    assert (await client("GET", f"/v2/{name}/referrers/{digest_of(manifest)}")).json()["manifests"] == []


async def test_the_catalog_is_paged(client: Client) -> None:
    names = ["a", "a-b", "a/b", "b", "zoo"]
    for name in reversed(names):
        await push_image(client, name, "v1")
    assert (await client("GET", "/v2/_catalog")).json() == {"repositories": names}
    assert await walk(client, "/v2/_catalog?n=2", "repositories") == [names[:2], names[2:4], names[4:]]
    assert (await client("GET", "/v2/_catalog?n=0")).json() == {"repositories": []}
    assert (await client("GET", "/v2/_catalog?n=x")).status == 400


async def test_the_extensions_are_listed(client: Client) -> None:
    reply = await client("GET", "/v2/_oci/ext/discover")
    assert {extension["name"] for extension in reply.json()["extensions"]} == {"_oci", "_catalog"}
    assert all(extension.keys() >= {"name", "url", "endpoints"} for extension in reply.json()["extensions"])


class TestReferrers:
    async def test_a_referrer_is_listed_as_its_descriptor(self, client: Client) -> None:
        subject = await push_image(client, "a", "v1")
        digest = digest_of(subject)
        annotations = {"org.example": "ä😀"}
        referrer = image(subject=descriptor(subject, OCI_IMAGE), artifactType="a/sbom", annotations=annotations)
        reply = await push_manifest(client, "a", digest_of(referrer), referrer)
        assert (reply.status, reply.headers["oci-subject"]) == (201, digest)
        reply = await client("GET", f"/v2/a/referrers/{digest}")
        assert reply.headers["content-type"] == OCI_INDEX
        assert "oci-filters-applied" not in reply.headers
        shown = descriptor(referrer, OCI_IMAGE, artifactType="a/sbom", annotations=annotations)
        assert reply.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [shown]}

    async def test_the_subject_need_not_exist_and_an_index_may_have_one(self, client: Client) -> None:
        await push_image(client, "a", "other")
        absent = descriptor(b"absent", OCI_IMAGE)
        for manifest in (image(subject=absent), index(subject=absent), index(subject=absent, artifactType="a/b")):
            assert (await push_manifest(client, "a", digest_of(manifest), manifest)).status == 201
        reply = await client("GET", f"/v2/a/referrers/{absent['digest']}")
        types = {(each["mediaType"], each.get("artifactType")) for each in reply.json()["manifests"]}
        assert types == {(OCI_IMAGE, CONFIG_TYPE), (OCI_INDEX, None), (OCI_INDEX, "a/b")}

    async def test_a_filter(self, client: Client) -> None:
        subject = await push_image(client, "a", "v1")
        for number, artifact_type in enumerate(["a/b", "c/d", "a/b", "e/f+json"]):
            manifest = image(subject=descriptor(subject, OCI_IMAGE), artifactType=artifact_type, number=number)
            await push_manifest(client, "a", digest_of(manifest), manifest)
        url = f"/v2/a/referrers/{digest_of(subject)}"
        for query, count in (("artifactType=a/b", 2), ("artifactType=a%2Fb", 2), ("artifactType=x/y", 0), (PLUS, 1)):
            reply = await client("GET", f"{url}?{query}")
            assert reply.headers["oci-filters-applied"] == "artifactType"
            assert len(reply.json()["manifests"]) == count
        pages = await walk(client, f"{url}?n=1&artifactType=a%2Fb", "manifests")
        assert [[each["artifactType"] for each in page] for page in pages] == [["a/b"], ["a/b"]]

    async def test_pages_are_bounded_in_number_and_bytes(self, client: Client) -> None:
        subject = await push_image(client, "a", "v1")
        for number in range(5):
            manifest = image(subject=descriptor(subject, OCI_IMAGE), annotations={"n": f"{number}" * 1_500_000})
            await push_manifest(client, "a", digest_of(manifest), manifest)
        url = f"/v2/a/referrers/{digest_of(subject)}"
        by_bytes = await walk(client, url, "manifests")
        assert [len(page) for page in by_bytes] == [2, 2, 1]
        by_number = await walk(client, f"{url}?n=1", "manifests")
        assert [len(page) for page in by_number] == [1] * 5
        assert sum(by_bytes, []) == sum(by_number, [])  # noqa: RUF017 (five)

    @pytest.mark.parametrize("name", ["a", "nobody/knows"])
    async def test_nothing_known_is_an_empty_index(self, client: Client, name: str) -> None:
        await push_image(client, "a", "v1")
        reply = await client("GET", f"/v2/{name}/referrers/{digest_of(b'absent')}")
        assert (reply.status, reply.json()["manifests"]) == (200, [])

    async def test_a_bad_digest_is_400(self, client: Client) -> None:
        assert (await client("GET", "/v2/a/referrers/sha256:x")).codes == ["DIGEST_INVALID"]

    async def test_a_deleted_referrer_is_gone(self, client: Client) -> None:
        subject = await push_image(client, "a", "v1")
        manifest = image(subject=descriptor(subject, OCI_IMAGE))
        await push_manifest(client, "a", digest_of(manifest), manifest)
        await client("DELETE", f"/v2/a/manifests/{digest_of(manifest)}")
        assert (await client("GET", f"/v2/a/referrers/{digest_of(subject)}")).json()["manifests"] == []

    async def test_those_of_the_fallback_tag_schema_are_found(self, client: Client) -> None:
        """A client that does not trust the API pushes its referrer and then an index under the subject's tag."""
        subject = await push_image(client, "a", "v1")
        referrer = image(subject=descriptor(subject, OCI_IMAGE), artifactType="a/b")
        await push_manifest(client, "a", digest_of(referrer), referrer)
        tag = digest_of(subject).replace(":", "-")
        shown = descriptor(referrer, OCI_IMAGE, artifactType="a/b")
        await push_manifest(
            client, "a", tag, to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [shown]})
        )
        reply = await client("GET", f"/v2/a/referrers/{digest_of(subject)}")
        assert reply.json()["manifests"] == [shown]
        assert (await client("GET", f"/v2/a/manifests/{tag}")).json()["manifests"] == [shown]
