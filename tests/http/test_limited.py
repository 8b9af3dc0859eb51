"""What a credential is worth while a request goes on, and what a token is worth that is for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from registry.oci.media_types import OCI_INDEX
from registry.service.policy import AccessPolicy, Policy
from registry.store import accounts, rules
from tests.http.access_columns import PASSWORD, basic, bearer, weak
from tests.tools.content import digest_of, index

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from registry.service.registry import Registry
    from tests.tools.asgi import Client

ALICE = basic("alice", PASSWORD)
ONE, OTHER = index(), index(annotations={"a": "b"})
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="token"))


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    await registry.database.write(accounts.add, "alice", "user", weak(PASSWORD))
    await registry.database.write(rules.put, "alice", "**", "pull push delete")
    return registry


async def token_for(client: Client, scope: str) -> dict[str, str]:
    return bearer((await client("GET", f"/token?scope={scope}", headers=ALICE)).json()["token"])


async def test_a_token_for_something_else_may_no_more_than_anybody(client: Client, registry: Registry) -> None:
    await registry.database.write(rules.put, "anonymous", "inbox/**", "pull create")
    other = await token_for(client, "repository:other:pull")
    manifest = "/v2/inbox/a/manifests/v1"
    typed = {"Content-Type": OCI_INDEX}
    assert (await client("PUT", manifest, ONE, {**other, **typed})).status == 201
    for headers in (typed, {**other, **typed}):
        assert (await client("PUT", manifest, OTHER, headers)).codes == ["DENIED"]
    assert (await client("PUT", manifest, OTHER, {**ALICE, **typed})).status == 201
    assert (await client("GET", "/v2/_catalog", headers=other)).status == 401


async def test_anybody_may_see_the_metrics_with_a_token_too(client: Client, registry: Registry) -> None:
    other = await token_for(client, "repository:other:pull")
    assert (await client("GET", "/metrics", headers=other)).status == 401
    await registry.database.write(rules.put, "anonymous", "**", "pull")
    assert (await client("GET", "/metrics", headers=other)).status == 200


async def _new_password(registry: Registry) -> None:
    await registry.database.write(accounts.set_secret, "alice", "user", weak("another"))


async def _removed(registry: Registry) -> None:
    await registry.database.write(accounts.remove, "alice", "user")


async def _no_rules(registry: Registry) -> None:
    await registry.database.write(rules.remove, "alice", "**")


@pytest.mark.parametrize("by", ["password", "token"])
@pytest.mark.parametrize(("change", "status"), [(_new_password, 401), (_removed, 401), (_no_rules, 403)])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/v2/app/manifests/v1"),
        ("PUT", f"/v2/app/manifests/{digest_of(ONE)}"),
        ("POST", f"/v2/app/blobs/uploads/?digest={digest_of(ONE)}"),
    ],
)
async def test_who_is_put_out_in_the_middle_of_a_body_is_out(
    client: Client,
    registry: Registry,
    change: Callable[[Registry], Awaitable[None]],
    status: int,
    method: str,
    target: str,
    by: str,
) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield ONE[:10]
        await change(registry)
        yield ONE[10:]

    headers = ALICE if by == "password" else await token_for(client, "repository:app:pull,push")
    reply = await client(method, target, body(), {**headers, "Content-Type": OCI_INDEX})
    assert reply.status == status
    assert registry.database.read_now(lambda tx: tx.execute("SELECT count(*) FROM repository").fetchone()) == (0,)


async def test_a_form_that_never_ends_does_not_hold_its_place(
    client: Client, mock_clock: trio.testing.MockClock
) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"grant_type="
        mock_clock.jump(11)
        await trio.sleep_forever()

    reply = await client("POST", "/token", body(), FORM)
    assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])


async def test_what_stands_is_told_to_those_who_may_pull_it(client: Client, registry: Registry) -> None:
    typed = {"Content-Type": OCI_INDEX, "If-Match": f'"{digest_of(OTHER)}"'}
    await client("PUT", "/v2/app/manifests/v1", ONE, {**ALICE, "Content-Type": OCI_INDEX})
    told = await client("PUT", "/v2/app/manifests/v1", OTHER, {**ALICE, **typed})
    assert told.json()["errors"][0]["detail"] == {"current": digest_of(ONE)}
    await registry.database.write(rules.put, "alice", "**", "create")
    hidden = await client("PUT", "/v2/app/manifests/v1", OTHER, {**ALICE, **typed})
    assert (hidden.status, hidden.json()["errors"][0]["detail"]) == (412, {"current": None})


async def test_old_secrets_keep_no_password_out_and_don_t_fill_the_audit(client: Client, registry: Registry) -> None:
    stale = bearer(f"rt_1_{'A' * 43}")
    statuses = [(await client("GET", "/v2/", headers=stale)).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert (await client("GET", "/v2/", headers=ALICE)).status == 200
    for number in range(1200):
        with pytest.raises(Exception, match="not good"):
            await registry.authentication.log_in("", stale["Authorization"][7:], f"2001:db8:{number:x}::1")
    (rows,) = registry.database.read_now(lambda tx: tx.execute("SELECT count(*) FROM audit").fetchone())
    assert 1000 <= rows < 1200
