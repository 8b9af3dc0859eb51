"""Two tenants of one registry: neither learns what the other has, or whether there is anything at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from registry.http.app import make_app
from registry.oci.media_types import OCI_IMAGE
from registry.oci.scopes import Scope
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import Principal
from registry.service.tokens import Login, hash_of
from registry.store import accounts, rules
from tests.http.access_columns import PASSWORD, basic, bearer, weak
from tests.tools.asgi import Client, Reply
from tests.tools.content import begin_upload, descriptor, digest_of, image, push_blob, push_image, push_manifest

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx

SECRET, ABSENT = b"a layer of b", b"a layer of nobody"
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"
CATALOG = Scope("registry", "catalog", ("*",))


@pytest.fixture(params=["basic", "token", "scoped"])
def way(request: pytest.FixtureRequest) -> str:
    """How the tenants log in: by password, or by a token for all that is theirs, or that asks for the other's too."""
    return str(request.param)


@pytest.fixture
def policy(way: str) -> Policy:
    return Policy(access=AccessPolicy(mode="basic" if way == "basic" else "token"))


class Tenant(Client):
    """Requests of one tenant."""

    def __init__(self, registry: Registry, headers: dict[str, str]) -> None:
        super().__init__(make_app(registry))
        self._headers = headers

    async def __call__(self, method, target, body=b"", headers=()):  # type: ignore[no-untyped-def]
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        return await super().__call__(method, target, body, [*pairs, *self._headers.items()])


@dataclass(frozen=True)
class Both:
    """Tenant b has an image, a referrer of it, and an open upload."""

    a: Tenant
    b: Tenant
    image: bytes
    referrer: bytes
    upload: str


def _add(tx: WriteTx) -> None:
    for name in ("a", "b"):
        accounts.add(tx, name, "user", weak(PASSWORD))
        rules.put(tx, f"group:of-{name}", f"{name}/**", "admin")
        accounts.join(tx, f"of-{name}", name)
    rules.put(tx, "anonymous", "public/**", "pull")
    rules.put(tx, "authenticated", "shared/**", "pull")


async def _log_in(registry: Registry, name: str, way: str) -> Tenant:
    if way == "basic":
        return Tenant(registry, basic(name, PASSWORD))
    query = ""
    if way == "scoped":
        names = [f"{tenant}/{part}" for tenant in "ab" for part in ("app", "other", "no")]
        query = "&".join(["scope=registry:catalog:*", *(f"scope=repository:{each}:pull,push,delete" for each in names)])
        reply = await Client(make_app(registry))("GET", f"/token?{query}", headers=basic(name, PASSWORD))
        return Tenant(registry, bearer(reply.json()["token"]))
    stored = registry.database.read_now(accounts.find, name)
    assert stored is not None
    scopes = [Scope("repository", f"{name}/{part}", ("pull", "push", "delete")) for part in ("app", "other", "no")]
    issued = await registry.tokens.issue(
        Login(Principal(name, credential=hash_of(stored.secret_hash))), [*scopes, CATALOG]
    )
    return Tenant(registry, bearer(issued.token))


@pytest.fixture
async def both(registry: Registry, way: str) -> Both:
    await registry.database.write(_add)
    a, b = [await _log_in(registry, name, way) for name in "ab"]
    await push_image(a, "a/app", "v1", b"a layer of a")
    pushed = await push_image(b, "b/app", "v1", SECRET)
    referrer = image(subject=descriptor(pushed, OCI_IMAGE), artifactType="a/b")
    assert (await push_manifest(b, "b/app", digest_of(referrer), referrer)).status == 201
    return Both(a, b, pushed, referrer, (await begin_upload(b, "b/app")).rpartition("/")[2])


def told(reply: Reply, *names: str) -> tuple[object, ...]:
    """All that an answer tells, but for what is the client's own: names that it asked for, and random ids."""
    text = repr((sorted(reply.headers.items()), reply.body))
    text = re.sub(r"'x-request-id', '[^']*'", "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "NAME")
    return reply.status, re.sub(r"'content-length', '\d+'", "", text)


def requests(name: str, tag: str, digest: str, blob: str, upload: str) -> list[tuple[str, str]]:
    """Every request about what a repository has."""
    uploads = f"/v2/{name}/blobs/uploads"
    return [
        *((method, f"/v2/{name}/manifests/{reference}") for method in ("GET", "HEAD", "PUT", "DELETE")
          for reference in (tag, digest)),
        *((method, f"/v2/{name}/blobs/{blob}") for method in ("GET", "HEAD", "DELETE")),
        *((method, f"{uploads}/{upload}?digest={blob}") for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE")),
        ("POST", f"{uploads}/?mount={blob}&from=b/app"),
        ("POST", f"{uploads}/?digest={blob}"),
        ("GET", f"/v2/{name}/tags/list?n=1&last="),
        ("GET", f"/v2/{name}/referrers/{digest}?n=1"),
    ]  # fmt: skip


async def test_what_the_other_has_is_refused_as_what_is_not_there(both: Both) -> None:
    theirs = digest_of(both.image), digest_of(SECRET), both.upload
    nobodys = digest_of(ABSENT), digest_of(ABSENT), NO_UPLOAD
    known = requests("b/app", "v1", *theirs)
    for other in (requests("b/app", "v9", *nobodys), requests("b/no", "v1", *theirs), requests("b/no", "v9", *nobodys)):
        for (method, target), (_, unknown) in zip(known, other, strict=True):
            reply, expected = await both.a(method, target), await both.a(method, unknown)
            assert reply.status in {401, 403}, (method, target)
            assert told(reply, *theirs, *nobodys, "b/app", "b/no") == told(
                expected, *theirs, *nobodys, "b/app", "b/no"
            ), (method, target)
    assert (await both.b("GET", "/v2/b/app/manifests/v1")).body == both.image


async def test_in_ones_own_repository_what_the_other_has_is_not_there(both: Both) -> None:
    theirs = digest_of(both.image), digest_of(SECRET), both.upload
    nobodys = digest_of(ABSENT), digest_of(b"nothing"), NO_UPLOAD
    for (method, target), (_, unknown) in zip(
        requests("a/app", "v9", *theirs), requests("a/app", "v9", *nobodys), strict=True
    ):
        reply, expected = await both.a(method, target), await both.a(method, unknown)
        assert told(reply, *theirs, *nobodys) == told(expected, *theirs, *nobodys), (method, target)
        assert reply.status in {200, 202, 400, 404}, (method, target)
        assert reply.status != 200 or b'"manifests":[]' in reply.body or target.startswith("/v2/a/app/tags"), target
    assert (await both.b("GET", f"/v2/b/app/blobs/uploads/{both.upload}")).status == 204


async def test_an_upload_of_the_others_that_is_being_written_is_not_there_either(both: Both) -> None:
    """Whoever knows its id is not told that it is busy."""
    seen = []

    async def body():  # type: ignore[no-untyped-def]
        yield b"half"
        for method, query in (("PATCH", ""), ("PUT", f"?digest={digest_of(SECRET)}"), ("DELETE", ""), ("GET", "")):
            for upload in (both.upload, NO_UPLOAD):
                reply = await both.a(method, f"/v2/a/app/blobs/uploads/{upload}{query}")
                seen.append(told(reply))
        yield b"whole"

    reply = await both.b("PATCH", f"/v2/b/app/blobs/uploads/{both.upload}", body())
    assert (reply.status, reply.headers["range"]) == (202, "0-8")
    assert [status for status, _ in seen] == [404] * 8
    assert seen[::2] == seen[1::2]


@pytest.mark.parametrize("source", ["", "&from=b/app", "&from=b/no", "&from=B"])
async def test_what_the_other_has_can_not_be_mounted(both: Both, source: str) -> None:
    reply = await both.a("POST", f"/v2/a/app/blobs/uploads/?mount={digest_of(SECRET)}{source}")
    assert reply.status == 202
    assert (await both.a("HEAD", f"/v2/a/app/blobs/{digest_of(SECRET)}")).status == 404


async def test_the_catalog_has_ones_own(both: Both) -> None:
    await push_blob(both.b, "b/other", b"x")
    for tenant, names in ((both.a, ["a/app"]), (both.b, ["b/app", "b/other"])):
        for query in ("", "?n=100", "?last=", "?last=0"):
            reply = await tenant("GET", f"/v2/_catalog{query}")
            assert reply.json()["repositories"] == names
            assert "link" not in reply.headers
    assert (await both.a("GET", "/v2/_catalog?n=1")).headers.get("link") is None
    reply = await both.b("GET", "/v2/_catalog?n=1")
    assert (reply.json()["repositories"], "last=b%2Fapp" in reply.headers["link"]) == (["b/app"], True)
    for last in ("a/app", "b", "b/app", "zoo"):
        assert (await both.a("GET", f"/v2/_catalog?last={last}&n=5")).json()["repositories"] == []


async def test_a_manifest_can_not_refer_to_what_the_other_has(both: Both) -> None:
    manifests = image(SECRET, config=b"a layer of a"), image(ABSENT, config=b"a layer of a")
    replies = [await push_manifest(both.a, "a/app", "v2", manifest) for manifest in manifests]
    names = digest_of(SECRET), digest_of(ABSENT)
    assert told(replies[0], *names) == told(replies[1], *names)
    assert replies[0].codes == ["MANIFEST_BLOB_UNKNOWN"]


async def test_the_same_content_is_pushed_as_if_nobody_had_it(both: Both) -> None:
    replies = []
    for content in (SECRET, ABSENT):
        replies.append(await both.a("POST", f"/v2/a/app/blobs/uploads/?digest={digest_of(content)}", content))
        short = await both.a("POST", f"/v2/a/app/blobs/uploads/?digest={digest_of(content)}", content[:-1])
        replies.append(Reply(short.status, short.headers, b""))
    names = digest_of(SECRET), digest_of(ABSENT)
    assert [told(reply, *names) for reply in replies[:2]] == [told(reply, *names) for reply in replies[2:]]
    assert (await both.a("DELETE", f"/v2/a/app/blobs/{digest_of(SECRET)}")).status == 202
    assert (await both.b("GET", f"/v2/b/app/blobs/{digest_of(SECRET)}")).body == SECRET


async def test_a_subject_of_the_others_is_one_that_is_not_there(both: Both) -> None:
    """And who refers to it in another repository is not among its referrers."""
    replies = []
    for subject in (both.image, image(annotations={"of": "nobody"})):
        referrer = image(config=b"a layer of a", subject=descriptor(subject, OCI_IMAGE), artifactType="x/y")
        replies.append(await push_manifest(both.a, "a/app", digest_of(referrer), referrer))
        listed = (await both.a("GET", f"/v2/a/app/referrers/{digest_of(subject)}")).json()["manifests"]
        assert [each["digest"] for each in listed] == [digest_of(referrer)]
    assert {reply.status for reply in replies} == {201}
    assert sorted(replies[0].headers) == sorted(replies[1].headers)
    listed = (await both.b("GET", f"/v2/b/app/referrers/{digest_of(both.image)}")).json()["manifests"]
    assert [each["digest"] for each in listed] == [digest_of(both.referrer)]


async def test_no_name_of_the_others_stands_in_what_all_can_read(both: Both, registry: Registry) -> None:
    client = Client(make_app(registry))
    for target in ("/ready?verbose&push", "/v2/", "/v2/_oci/ext/discover", "/healthz", "/no/such/end/point"):
        for reply in (await client("GET", target), await both.a("GET", target)):
            assert b"b/app" not in reply.body
    for tenant in (both.a, both.b):
        assert (await tenant("GET", "/metrics")).status in {401, 403}


async def test_what_is_for_all_can_be_read_and_mounted_and_no_more(both: Both, registry: Registry, way: str) -> None:
    await registry.database.write(rules.put, "b", "public/**", "push")
    await registry.database.write(rules.put, "b", "shared/**", "push")
    b = Tenant(registry, basic("b", PASSWORD))
    nobody, a = Client(make_app(registry)), Tenant(registry, basic("a", PASSWORD))
    for name in ("public/app", "shared/app"):
        await push_image(b, name, "v1", name.encode())
        assert (await a("GET", f"/v2/{name}/manifests/v1")).status == 200
        assert (await a("DELETE", f"/v2/{name}/manifests/v1")).status == 403
        mount = f"/v2/a/app/blobs/uploads/?mount={digest_of(name.encode())}"
        assert (await a("POST", mount)).status == 201
        # A token is worth what it is for, none of these names this repository; and what anybody may do.
        expected = 201 if way == "basic" or name == "public/app" else 202
        assert (await both.a("POST", f"{mount}&from={name}")).status == expected
    assert (await nobody("GET", "/v2/public/app/manifests/v1")).status == 200
    assert (await nobody("GET", "/v2/shared/app/manifests/v1")).status == 401
    assert (await nobody("GET", "/v2/_catalog")).json() == {"repositories": ["public/app"]}


async def test_who_leaves_a_group_is_out_at_once(both: Both, registry: Registry) -> None:
    """Whatever a token was for; and a new right is one of old credentials, as far as the token goes."""
    await registry.database.write(accounts.leave, "of-a", "a")
    for method, target in requests("a/app", "v1", digest_of(both.image), digest_of(SECRET), NO_UPLOAD):
        assert (await both.a(method, target)).status == 403
    assert (await both.a("GET", "/v2/_catalog")).json() == {"repositories": []}
    await registry.database.write(accounts.join, "of-b", "a")
    expected = 200 if registry.policy.access.mode == "basic" else 401
    assert (await both.a("GET", "/v2/b/app/manifests/v1")).status == expected
