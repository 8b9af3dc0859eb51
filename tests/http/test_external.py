"""Tokens of an issuer as credentials: from the request to what its groups may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.service.policy import AccessPolicy, Policy
from registry.store import rules
from tests.http.access_columns import basic, bearer
from tests.tools.jwts import claims, key_set, make, policy, signer

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry
    from tests.tools.asgi import Client

KEY = signer("external", "P-256")
TAGS = "/v2/team/app/tags/list"
UPLOADS = "/v2/team/app/blobs/uploads/"


@pytest.fixture(name="policy", params=["basic", "token"])
def _policy(request: pytest.FixtureRequest, tmp_path: Path) -> Policy:
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(KEY))
    return Policy(access=AccessPolicy(mode=request.param, issuers=(policy(keys, name="ci"),)))


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    await registry.database.write(rules.put, "group:builders", "team/**", "pull")
    await registry.database.write(rules.put, "ci:repo:acme/tool", "team/**", "push")
    return registry


@pytest.mark.parametrize("way", [bearer, lambda token: basic("anything", token)])
async def test_the_groups_and_the_name_count(client: Client, way: object) -> None:
    app, tool = (way(make(KEY, "ES256", claims(sub=sub))) for sub in ("repo:acme/app", "repo:acme/tool"))  # type: ignore[operator]
    assert [(await client("GET", TAGS, headers=each)).status for each in (app, tool)] == [404, 404]
    assert [(await client("POST", UPLOADS, headers=each)).status for each in (app, tool)] == [403, 202]


async def test_a_bad_one_is_refused_and_written_down(client: Client, registry: Registry) -> None:
    stranger = make(signer("stranger", "P-256"), "ES256", claims())
    assert (await client("GET", TAGS, headers=bearer(stranger))).codes == ["UNAUTHORIZED"]
    rows = await registry.database.read(lambda tx: tx.execute("SELECT action, after FROM audit").fetchall())
    assert [action for action, _ in rows] == ["login failed"]
    assert stranger not in repr(rows)


async def test_a_token_got_by_one_ends_with_it(client: Client, registry: Registry) -> None:
    if registry.policy.access.mode != "token":
        assert (await client("GET", "/token")).status == 404
        return
    body = claims()
    login = basic("ci", make(KEY, "ES256", claims(exp=body["iat"] + 60)))
    issued = (
        await client("GET", "/token?scope=repository:team/app:pull,push&offline_token=true", headers=login)
    ).json()
    assert issued["scope"] == "repository:team/app:pull"
    assert 50 <= issued["expires_in"] <= 70
    assert "refresh_token" not in issued
    token = bearer(issued["token"])
    assert (await client("GET", TAGS, headers=token)).status == 404
    await registry.database.write(rules.remove, "group:builders", "team/**")
    assert (await client("GET", TAGS, headers=token)).status == 403
