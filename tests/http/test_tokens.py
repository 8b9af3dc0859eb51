"""The token service: what is asked for, what is granted, and what is told of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import structlog
from structlog.testing import capture_logs

from registry.service.policy import AccessPolicy, Policy
from registry.store import accounts, rules
from registry.store.space import StorageFull
from tests.http.access_columns import PASSWORD, basic, bearer, weak

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx
    from tests.tools.asgi import Client, Reply

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALICE = basic("alice", PASSWORD)
LOGIN = f"grant_type=password&username=alice&password={quote(PASSWORD)}"


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="token", token_seconds=120))


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    """With a user who may pull and push in team/**, and anonymous pulls from public/**."""
    await registry.database.write(_add)
    return registry


def _add(tx: WriteTx) -> None:
    accounts.add(tx, "alice", "user", weak(PASSWORD))
    rules.put(tx, "alice", "team/**", "pull push")
    rules.put(tx, "anonymous", "public/**", "pull")


async def ask(client: Client, query: str = "", headers: dict[str, str] = ALICE) -> dict[str, Any]:
    reply = await client("GET", f"/token?{query}", headers=headers)
    assert reply.status == 200, reply
    document: dict[str, Any] = reply.json()
    return document


async def send(client: Client, form: str, headers: dict[str, str] = FORM) -> Reply:
    return await client("POST", "/token", form.encode(), headers)


async def test_what_the_answer_tells(client: Client, registry: Registry) -> None:
    reply = await client("GET", "/token?scope=repository:team/app:pull&service=x&account=alice", headers=ALICE)
    document = reply.json()
    assert document.keys() == {"token", "access_token", "expires_in", "issued_at", "scope"}
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 120
    assert datetime.fromisoformat(document["issued_at"]).utcoffset() is not None
    assert reply.headers["cache-control"] == "no-store"
    assert (await client("GET", "/v2/", headers=bearer(document["token"]))).status == 200


@pytest.mark.parametrize(
    ("query", "granted"),
    [
        ("", ""),
        ("scope=", ""),
        ("scope=repository:team/a:pull", "repository:team/a:pull"),
        ("scope=repository:team/a:pull,push,delete", "repository:team/a:pull,push"),
        ("scope=repository:team/a:*", "repository:team/a:pull,push"),
        ("scope=repository:team/a:push,pull,pull", "repository:team/a:pull,push"),
        ("scope=repository:team/a:pull+repository:team/b:push", "repository:team/a:pull repository:team/b:push"),
        ("scope=repository:team/a:pull&scope=repository:team/b:push", "repository:team/a:pull repository:team/b:push"),
        ("scope=repository:team/a:pull&scope=repository:team/a:pull", "repository:team/a:pull"),
        ("scope=repository(plugin):team/a:pull", "repository:team/a:pull"),
        ("scope=repository:public/a:pull,push", "repository:public/a:pull"),
        ("scope=registry:catalog:*", "registry:catalog:*"),
        ("scope=registry:catalog:pull", "registry:catalog:*"),
        ("scope=repository:other/a:pull", ""),
        ("scope=repository:*:pull", ""),
        ("scope=repository:team/**:pull", ""),
        ("scope=repository:team/a:", ""),
        ("scope=repository:team/a:admin,create,operate", ""),
        ("scope=repository:TEAM/a:pull", ""),
        ("scope=repository:host:5000/team/a:pull", ""),
        ("scope=admin:team/a:*", ""),
        ("scope=%FF%00", ""),
        ("scope=repository:team%2Fa%0Ax:pull", ""),
    ],
)
async def test_as_much_is_granted_as_there_are_rights_for(client: Client, query: str, granted: str) -> None:
    registry_query = f"{query}&service=registry"
    assert (await ask(client, registry_query))["scope"] == granted


async def test_a_token_is_for_what_was_granted(client: Client) -> None:
    token = bearer((await ask(client, "scope=repository:team/a:pull&scope=repository:other/a:pull"))["token"])
    for method, target, status in (
        ("GET", "/v2/team/a/tags/list", 404),
        ("POST", "/v2/team/a/blobs/uploads/", 401),
        ("GET", "/v2/team/b/tags/list", 401),
        ("GET", "/v2/other/a/tags/list", 403),
        ("GET", "/v2/_catalog", 401),
    ):
        assert (await client(method, target, headers=token)).status == status, target
    challenge = (await client("GET", "/v2/team/b/tags/list", headers=token)).headers["www-authenticate"]
    assert challenge.endswith('scope="repository:team/b:pull",error="insufficient_scope"')


async def test_too_many_scopes_are_refused_before_they_are_looked_for(client: Client) -> None:
    many = "+".join(f"repository:team/a{number}:pull,push" for number in range(10_000))
    reply = await client("GET", f"/token?scope={many}", headers=ALICE)
    assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])
    assert (await client("GET", f"/token?scope={many}")).status == 400
    same = "+".join(["repository:team/a:pull"] * 10_000)
    assert (await ask(client, f"scope={same}"))["scope"] == "repository:team/a:pull"
    hundred = "+".join(f"repository:team/a{number}:pull" for number in range(100))
    assert len((await ask(client, f"scope={hundred}"))["scope"].split()) == 100


async def test_by_a_form(client: Client) -> None:
    reply = await send(
        client, f"{LOGIN}&scope=repository:team/a:pull&scope=repository:team/b:push&client_id=x&service=y"
    )
    assert reply.status == 200
    assert reply.json()["scope"] == "repository:team/a:pull repository:team/b:push"
    assert reply.json().keys() == {"token", "access_token", "expires_in", "issued_at", "scope"}
    assert (await client("GET", "/v2/", headers=bearer(reply.json()["access_token"]))).status == 200


@pytest.mark.parametrize(
    "form",
    [
        "",
        "grant_type=authorization_code",
        "grant_type=password",
        "grant_type=password&username=alice",
        "grant_type=refresh_token",
        "grant_type=password&grant_type=password",
        f"{LOGIN}&username=bob",
        "&".join(["scope=x"] * 1001),
        "é=1",
        f"{LOGIN}&scope={'x' * 65536}",
    ],
)
async def test_a_form_that_can_not_be_understood(client: Client, form: str) -> None:
    reply = await send(client, form)
    assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
async def test_a_body_that_is_no_form(client: Client, content_type: str) -> None:
    reply = await send(client, LOGIN, {"Content-Type": content_type})
    assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])
    assert b"x-www-form-urlencoded" in reply.body


async def test_the_type_of_a_form_may_have_parameters_and_be_left_out(client: Client) -> None:
    for headers in ({"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}, {}):
        assert (await send(client, LOGIN, headers)).status == 200


async def test_wrong_credentials_are_401(client: Client) -> None:
    wrong = "grant_type=password&username=alice&password=x"
    for reply in (
        await send(client, wrong),
        await send(client, "grant_type=refresh_token&refresh_token=x"),
        await client("GET", "/token", headers=basic("alice", "x")),
        await client("GET", "/token", headers=bearer("x")),
        await client("GET", "/token", headers={"Authorization": "Basic x"}),
    ):
        assert (reply.status, reply.codes) == (401, ["UNAUTHORIZED"])
        assert "www-authenticate" in reply.headers


class TestRefreshTokens:
    @pytest.fixture
    async def refresh(self, client: Client) -> str:
        return str((await ask(client, "offline_token=true"))["refresh_token"])

    async def test_it_gets_tokens_and_is_told_again(self, client: Client, refresh: str) -> None:
        form = f"grant_type=refresh_token&refresh_token={refresh}&scope=repository:team/a:pull,delete"
        for more in ("", "&access_type=offline"):  # which gets the same one: it would never end otherwise
            reply = await send(client, form + more)
            document = reply.json()
            assert (document["refresh_token"], document["scope"]) == (refresh, "repository:team/a:pull")
            assert (await client("GET", "/v2/team/a/tags/list", headers=bearer(document["token"]))).status == 404

    async def test_by_a_form(self, client: Client) -> None:
        refresh = (await send(client, f"{LOGIN}&access_type=offline")).json()["refresh_token"]
        assert (await send(client, f"grant_type=refresh_token&refresh_token={refresh}")).status == 200

    async def test_it_is_none_for_requests_and_a_token_is_none_to_refresh(self, client: Client, refresh: str) -> None:
        assert (await client("GET", "/v2/", headers=bearer(refresh))).status == 401
        token = (await ask(client))["token"]
        assert (await send(client, f"grant_type=refresh_token&refresh_token={token}")).status == 401

    @pytest.mark.parametrize("query", ["", "offline_token=false", "offline_token=1"])
    async def test_nobody_gets_one_unasked(self, client: Client, query: str) -> None:
        assert "refresh_token" not in await ask(client, query)

    async def test_without_credentials_there_is_none(self, client: Client) -> None:
        assert "refresh_token" not in await ask(client, "offline_token=true", {})

    async def test_it_ends_with_the_password(self, client: Client, registry: Registry, refresh: str) -> None:
        await registry.database.write(accounts.set_secret, "alice", "user", weak("another one"))
        assert (await send(client, f"grant_type=refresh_token&refresh_token={refresh}")).status == 401


async def test_all_who_are_nobody_share_a_token(client: Client, registry: Registry) -> None:
    tokens = {(await ask(client, query, {}))["token"] for query in ("", "scope=repository:public/a:pull", "service=x")}
    assert len(tokens) == 1
    document = await ask(client, "scope=repository:public/a:pull,push&scope=repository:team/a:pull", {})
    assert document["scope"] == "repository:public/a:pull"
    token = bearer(document["token"])
    assert (await client("GET", "/v2/", headers=token)).status == 200
    assert (await client("GET", "/v2/public/a/tags/list", headers=token)).status == 404
    assert (await client("GET", "/v2/team/a/tags/list", headers=token)).status == 401
    known = registry.tokens._anonymous
    assert known is not None
    old = type(known)(known.token, known.issued_ms - 60_000, known.expires_seconds, ())
    registry.tokens._anonymous = old  # as it is after half its life
    document = await ask(client, "", {})
    assert (document["token"] == known.token, document["expires_in"]) == (False, 120)


async def test_no_secret_is_logged(client: Client) -> None:
    structlog.reset_defaults()
    with capture_logs() as logs:
        refresh = (await ask(client, "offline_token=true"))["refresh_token"]
        document = (await send(client, f"grant_type=refresh_token&refresh_token={refresh}")).json()
        await client("GET", "/v2/", headers=bearer(document["token"]))
        await client("GET", "/v2/", headers=bearer("an-unknown-token"))
        await client("GET", "/v2/", headers=basic("alice", "a-wrong-password"))
        robot = f"rt_1_{'s' * 43}"
        await client("GET", "/v2/", headers=bearer(robot))
        await client("GET", "/v2/", headers=basic(robot, "in the wrong field"))
        await send(client, f"grant_type=refresh_token&refresh_token={refresh}x")
    text = repr(logs)
    assert text.count("'event': 'login failed'") == 4
    for secret in (PASSWORD, refresh, document["token"], "an-unknown-token", "a-wrong-password", "sss"):
        assert secret not in text


async def test_a_database_that_takes_no_write_keeps_out_nobody_who_needs_none(
    client: Client, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logins and pulls go on, and nobody gets a refresh token, which has to be stored."""

    async def full(*_args: Any, **_kwargs: Any) -> None:
        raise StorageFull("no room")

    token = bearer((await ask(client))["token"])
    monkeypatch.setattr(registry.database, "write", full)
    assert (await client("GET", "/v2/", headers=ALICE)).status == 200
    assert (await client("GET", "/v2/", headers=token)).status == 200
    assert (await client("GET", "/v2/", headers=basic("alice", "wrong"))).status == 401
    unstored = bearer((await ask(client))["token"])
    assert (await client("GET", "/v2/", headers=unstored)).status == 200
    assert "refresh_token" not in await ask(client, "offline_token=true")
    assert (await client("GET", "/token", headers=basic("alice", "wrong"))).status == 401
