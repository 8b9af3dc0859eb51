"""Credentials as they come in a header, good or broken, and the challenges that ask for them."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from registry.http.credentials import parse_authorization
from registry.oci.errors import Unauthorized
from registry.service.credentials import Basic, Bearer
from registry.service.policy import AccessPolicy, Policy
from registry.store import accounts, rules
from tests.http.access_columns import PASSWORD, basic, bearer, weak

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from tests.tools.asgi import Client


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(params=["token", "basic"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policy(mode: str) -> Policy:
    return Policy(access=AccessPolicy(mode=mode))  # type: ignore[arg-type]


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    await registry.database.write(accounts.add, "alice", "user", weak(PASSWORD))
    await registry.database.write(rules.put, "alice", "team/**", "pull")
    return registry


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (f"Basic {encoded(b'alice:secret')}", Basic("alice", "secret")),
        (f"bAsIc  {encoded(b'alice:secret')} ", Basic("alice", "secret")),
        (f"BASIC {encoded(b'a:b:c')}", Basic("a", "b:c")),
        (f"Basic {encoded(b':')}", None),
        (f"Basic {encoded(b'alice:')}", Basic("alice", "")),
        (f"Basic {encoded(b':secret')}", Basic("", "secret")),
        (f"Basic {encoded('ä:ö€'.encode())}", Basic("ä", "ö€")),
        ("Bearer token", Bearer("token")),
        ("bearer token", Bearer("token")),
    ],
)
def test_what_is_understood(value: str | None, expected: Basic | Bearer | None) -> None:
    assert parse_authorization(value) == expected


BROKEN = [
    "", " ", "Basic", "Basic ", "Basic !", "Basic YQ", f"Basic {encoded(b'alice')}", f"Basic {encoded(b'')}",
    f"Basic {encoded(bytes([0xFF, 0x3A]))}", "Basic é", "Basic YTpi, Basic YTpi", f"Basic{encoded(b'a:b')}",
    f"Basic {encoded(b'a:' + b'b' * 40_000)}", "Basic YTpi====x", "Basic YT\tpi", "Bearer", "Bearer ",
    f"Bearer {'x' * 40_000}", "Negotiate abc", "Digest username=alice", "YTpi", "Basic\tYTpi",
]  # fmt: skip


@pytest.mark.parametrize("value", BROKEN)
def test_what_is_broken(value: str) -> None:
    with pytest.raises(Unauthorized):
        parse_authorization(value)


@pytest.mark.parametrize("value", [*BROKEN, "Bearer é", "Bearer \x00", f"Basic {encoded(bytes(3) + b':' + bytes(3))}"])
async def test_what_is_broken_is_401_even_where_all_may_pull(client: Client, registry: Registry, value: str) -> None:
    await registry.database.write(rules.put, "anonymous", "**", "pull")
    for target in ("/v2/", "/v2/public/a/tags/list", "/v2/_catalog", "/metrics"):
        reply = await client("GET", target, headers={"Authorization": value})
        assert (reply.status, reply.codes) == (401, ["UNAUTHORIZED"])


async def test_credentials_that_come_twice_are_none(client: Client) -> None:
    ((_, good),) = basic("alice", PASSWORD).items()
    for second in (good, "Bearer x"):
        reply = await client("GET", "/v2/", headers=[("Authorization", good), ("authorization", second)])
        assert reply.status == 401


@pytest.mark.parametrize("value", ["Basic !", "Bearer unknown", "Negotiate x"])
async def test_probes_look_at_no_credentials(client: Client, value: str) -> None:
    for target in ("/live", "/healthz", "/ready", "/ready?verbose"):
        assert (await client("GET", target, headers={"Authorization": value})).status == 200


class TestOpen:
    @pytest.fixture
    def mode(self) -> str:
        return "open"

    @pytest.mark.parametrize("value", BROKEN)
    async def test_no_credentials_are_looked_at(self, client: Client, value: str) -> None:
        assert (await client("GET", "/v2/", headers={"Authorization": value})).status == 200


REFUSED = [
    ("GET", "/v2/", None),
    ("GET", "/v2/_oci/ext/discover", None),
    ("GET", "/metrics", None),
    ("GET", "/v2/_catalog", "registry:catalog:*"),
    ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
    ("PUT", "/v2/a/b/manifests/v1", "repository:a/b:pull,push"),
    ("POST", "/v2/a/b/blobs/uploads/?mount=sha256:0&from=c/d", "repository:a/b:pull,push"),
    ("DELETE", "/v2/a/b/manifests/v1", "repository:a/b:delete"),
]


@pytest.mark.parametrize("headers", [{}, bearer("unknown"), basic("alice", "wrong")], ids=["none", "token", "password"])
async def test_a_challenge_names_one_scope(client: Client, mode: str, headers: dict[str, str]) -> None:
    """For a bad token too: some clients ask for the next one by this alone."""
    for method, target, scope in REFUSED:
        reply = await client(method, target, headers={"Host": "registry.example:5000", **headers})
        challenge = reply.headers["www-authenticate"]
        assert reply.status == 401
        if mode == "basic":
            assert challenge == 'Basic realm="cargohold", charset="UTF-8"'
            continue
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        expected = {"realm": "http://registry.example:5000/token", "service": "registry.example:5000"}
        if scope is not None:
            expected["scope"] = scope
        if "Bearer unknown" in headers.values():
            expected["error"] = "invalid_token"
        assert fields == expected
        assert len(re.findall("scope=", challenge)) == (scope is not None)


HOSTS = [
    "", 'evil"', 'a",realm="http://evil', "a b", "a,b", "a\\", "evil/x", "user@evil", "é", "a%22", "a:99999", "a:b",
    "[::1", "a" * 300, "http://evil", "a?b", "a#b", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_a_hostile_host_stands_in_no_challenge(client: Client, mode: str, host: str) -> None:
    for method, target, _ in REFUSED:
        reply = await client(method, target, headers={"Host": host})
        assert reply.status == 401
        challenge = reply.headers["www-authenticate"]
        if mode == "token":
            assert challenge.startswith('Bearer realm="http://127.0.0.1:5000/token",service="127.0.0.1:5000"')
        assert not re.search(r"[\r\n\\@é\x00]|evil", challenge)


@pytest.mark.parametrize("name", ["A", "a//b", "..", "a%22b", "a%0Ab"])
async def test_a_name_that_is_none_stands_in_no_challenge(client: Client, name: str) -> None:
    reply = await client("GET", f"/v2/{name}/tags/list", headers=bearer("unknown"))
    assert "scope" not in reply.headers.get("www-authenticate", "")
