"""Rights at the moment when they count: that of the transaction, and that of the next request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from registry.http.app import make_app
from registry.oci.conditions import Condition
from registry.oci.errors import Denied, ManifestUnknown, Unauthorized
from registry.oci.media_types import DOCKER_IMAGE, OCI_IMAGE
from registry.oci.names import RepositoryName, Tag
from registry.oci.rights import Right
from registry.oci.scopes import Scope
from registry.service import manifests
from registry.service.access import Action
from registry.service.manifests import Content
from registry.service.policy import AccessPolicy, Policy
from registry.service.principals import ANONYMOUS, OPERATOR, Kind, Principal
from registry.store import accounts, rules
from tests.tools.asgi import Client
from tests.tools.content import digest_of, image, push_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx

NAME = RepositoryName("team/app")
ALICE = Principal("alice")
ROBOT = Principal("robot:ci", Kind.ROBOT)
EXTERNAL = Principal("gitlab:group/app", Kind.EXTERNAL, groups=frozenset({"ci"}))
NO_CONDITION = Condition.parse(None, None)


@pytest.fixture
def policy() -> Policy:
    return Policy(access=AccessPolicy(mode="basic"))


async def allow(registry: Registry, subject: str, rights: str, pattern: str = "team/**") -> None:
    await registry.database.write(rules.put, subject, pattern, rights)


async def push(registry: Registry, tag: str, body: bytes, principal: Principal = ALICE, kind: str = OCI_IMAGE) -> None:
    content = Content(body, kind)
    await manifests.push(registry, NAME, Tag(tag), [], content, NO_CONDITION, principal)


@pytest.fixture
async def pushed(registry: Registry) -> list[bytes]:
    """Three manifests, of which none has a tag: so that any tag may be pointed to any of them."""
    client = Client(make_app(registry, OPERATOR))
    bodies = [image(annotations={"number": str(number)}) for number in range(3)]
    await push_image(client, "team/app", "v0")
    for body in bodies:
        target = f"/v2/team/app/manifests/{digest_of(body)}"
        assert (await client("PUT", target, body, {"Content-Type": OCI_IMAGE})).status == 201
    return bodies


async def tag_of(registry: Registry, tag: str) -> str | None:
    try:
        return str((await manifests.find(registry, NAME, Tag(tag))).digest)
    except ManifestUnknown:
        return None


@pytest.mark.parametrize(
    ("subject", "principals"),
    [
        ("alice", [ALICE]),
        ("robot:ci", [ROBOT]),
        ("gitlab:group/app", [EXTERNAL]),
        ("group:ci", [EXTERNAL]),
        ("authenticated", [ALICE, EXTERNAL]),
        ("anonymous", [ALICE, ROBOT, EXTERNAL, ANONYMOUS]),
        ("operator", []),
        ("bob", []),
        ("group:alice", []),
        ("group:gitlab", []),
        ("ci", []),
    ],
)
async def test_whom_a_rule_means(registry: Registry, subject: str, principals: list[Principal]) -> None:
    await allow(registry, subject, "pull")
    everybody = [ALICE, ROBOT, EXTERNAL, ANONYMOUS]
    assert [each for each in everybody if Right.PULL in registry.access.rights(each, NAME)] == principals
    assert registry.access.rights(OPERATOR, NAME) == Right.ALL
    assert not registry.access.rights(ALICE, RepositoryName("other/app"))


async def test_rights_of_all_rules_add_up(registry: Registry) -> None:
    await registry.database.write(accounts.join, "devs", "alice")
    for subject, rights, pattern in (
        ("anonymous", "pull", "**"), ("group:devs", "create", "team/*"), ("alice", "delete", "team/app"),
    ):  # fmt: skip
        await allow(registry, subject, rights, pattern)
    assert registry.access.rights(ALICE, NAME) == Right.PULL | Right.CREATE | Right.DELETE
    await registry.database.write(rules.remove, "anonymous", "**")
    assert registry.access.rights(ALICE, NAME) == Right.CREATE | Right.DELETE


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (None, [Action.PULL, Action.PUSH, Action.DELETE]),
        ((), []),
        ((Scope("repository", "team/app", ("pull",)),), [Action.PULL]),
        ((Scope("repository", "team/app", ("pull",)), Scope("repository", "team/app", ("push",))),
         [Action.PULL, Action.PUSH]),
        ((Scope("repository", "team/another", ("pull", "push", "delete")),), []),
        ((Scope("registry", "team/app", ("pull", "push", "delete")),), []),
        ((Scope("repository", "team/app", ("*", "admin")),), []),
    ],
)  # fmt: skip
async def test_a_token_gives_no_more_than_it_is_for(
    registry: Registry, scopes: tuple[Scope, ...] | None, granted: list[Action]
) -> None:
    await allow(registry, "alice", "admin", "**")
    alice = Principal("alice", scopes=scopes)
    for action in (Action.PULL, Action.PUSH, Action.DELETE):
        if action in granted:
            registry.access.authorize(alice, action, NAME)
        else:
            with pytest.raises(Unauthorized):
                registry.access.authorize(alice, action, NAME)
    assert registry.access.pullable(alice)("team/app") is (Action.PULL in granted)


async def test_a_token_gives_no_more_than_the_rights_of_now(registry: Registry) -> None:
    await allow(registry, "alice", "pull push")
    alice = Principal("alice", scopes=(Scope("repository", "team/app", ("pull", "push", "delete")),))
    registry.access.authorize(alice, Action.PUSH, NAME)
    with pytest.raises(Denied):
        registry.access.authorize(alice, Action.DELETE, NAME)
    await allow(registry, "alice", "pull")
    with pytest.raises(Denied):
        registry.access.authorize(alice, Action.PUSH, NAME)


class TestCreateAndUpdate:
    async def test_who_may_create_moves_no_tag(self, registry: Registry, pushed: list[bytes]) -> None:
        await allow(registry, "alice", "create")
        await push(registry, "v1", pushed[0])
        await push(registry, "v1", pushed[0])
        with pytest.raises(Denied) as caught:
            await push(registry, "v1", pushed[1])
        assert caught.value.errors[0][1] == {"references": ["v1"]}
        assert await tag_of(registry, "v1") == digest_of(pushed[0])

    async def test_who_may_update_creates_no_tag(self, registry: Registry, pushed: list[bytes]) -> None:
        await allow(registry, "alice", "update")
        with pytest.raises(Denied) as caught:
            await push(registry, "v1", pushed[0])
        assert caught.value.errors[0][1] == {"references": ["v1"]}
        await push(registry, "v1", pushed[0], OPERATOR)
        await push(registry, "v1", pushed[1])
        assert await tag_of(registry, "v1") == digest_of(pushed[1])

    async def test_of_many_tags_all_or_none(self, registry: Registry, pushed: list[bytes]) -> None:
        await push(registry, "v1", pushed[0], OPERATOR)
        content = Content(pushed[1], OCI_IMAGE)
        for rights, named in (("create", "v1"), ("update", "v2")):
            await allow(registry, "alice", rights)
            with pytest.raises(Denied) as caught:
                await manifests.push(registry, NAME, Tag("v1"), [Tag("v2")], content, NO_CONDITION, ALICE)
            assert caught.value.errors[0][1] == {"references": [named]}
            assert await tag_of(registry, "v2") is None

    async def test_who_may_create_changes_no_type(self, registry: Registry) -> None:
        client = Client(make_app(registry, OPERATOR))
        await push_image(client, "team/app", "v0")
        body = image().replace(b'"mediaType": "application/vnd.oci.image.manifest.v1+json", ', b"")
        await push(registry, "v1", body, OPERATOR)
        await allow(registry, "alice", "create")
        await push(registry, "v2", body)
        with pytest.raises(Denied):
            await push(registry, "v3", body, kind=DOCKER_IMAGE)
        assert (await manifests.find(registry, NAME, Tag("v1"))).media_type == OCI_IMAGE
        await allow(registry, "alice", "update")
        await push(registry, "v1", body, kind=DOCKER_IMAGE)
        assert (await manifests.find(registry, NAME, Tag("v1"))).media_type == DOCKER_IMAGE


class Held:
    """Writes to the database that wait until the test lets them go; what is done meanwhile comes before them."""

    def __init__(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._free = trio.Event(), trio.Event()
        self.write = registry.database.write
        monkeypatch.setattr(registry.database, "write", self._held)

    async def _held(self, *args: Any, **kwargs: Any) -> Any:
        self.reached.set()
        await self._free.wait()
        return await self.write(*args, **kwargs)

    async def before(self, function: Callable[..., Any], *args: Any) -> None:
        """Let this be committed, and then what waits."""
        await self.reached.wait()
        await self.write(function, *args)
        self._free.set()


def _point(tx: WriteTx, tag: str, body: bytes) -> None:
    (stored,) = tx.execute("SELECT id FROM manifest WHERE digest = ?", digest_of(body)).fetchone()
    (repository,) = tx.execute("SELECT id FROM repository WHERE name = ?", NAME.value).fetchone()
    tx.execute("INSERT INTO tag (repository_id, name, manifest_id) VALUES (?, ?, ?)", repository, tag, stored)


async def test_a_tag_that_appears_meanwhile_is_not_moved(
    registry: Registry, pushed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow(registry, "alice", "create")
    held = Held(registry, monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.before, _point, "v1", pushed[0])
        with pytest.raises(Denied):
            await push(registry, "v1", pushed[1])
    assert await tag_of(registry, "v1") == digest_of(pushed[0])


@pytest.mark.parametrize("taken", ["rule", "group"])
async def test_a_right_that_is_taken_away_meanwhile_is_gone(
    registry: Registry, pushed: list[bytes], taken: str
) -> None:
    """In the same COMMIT even: the push comes after the change, which nobody else can see yet."""
    await registry.database.write(accounts.join, "devs", "alice")
    await allow(registry, "group:devs", "push")
    assert registry.access.rights(ALICE, NAME) == Right.PUSH
    function = (rules.remove, "group:devs", "team/**") if taken == "rule" else (accounts.leave, "devs", "alice")
    queued = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry.database.write, lambda _: queued.wait())
        await wait_all_tasks_blocked()
        nursery.start_soon(registry.database.write, *function)
        await wait_all_tasks_blocked()
        nursery.start_soon(_denied, registry, pushed[0])
        await wait_all_tasks_blocked()
        queued.set()
    assert await tag_of(registry, "v1") is None
    assert not registry.access.rights(ALICE, NAME)


async def _denied(registry: Registry, body: bytes) -> None:
    with pytest.raises(Denied):
        await push(registry, "v1", body)
