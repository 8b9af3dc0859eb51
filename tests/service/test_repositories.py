"""A repository is deleted while clients push to it: at each step of the deletion, and in the middle of a body."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from registry.oci.names import RepositoryName
from registry.service import repositories as service
from registry.service.check import STAGES
from registry.service.policy import GarbagePolicy, Policy
from registry.service.principals import OPERATOR
from registry.store import repositories
from tests.tools.content import CONFIG, begin_upload, digest_of, image, push_blob, push_image, push_manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from registry.service.registry import Registry
    from tests.tools.asgi import Client, Reply

OTHER = "team/other"


@pytest.fixture
def policy() -> Policy:
    """Every row goes in a transaction of its own."""
    return Policy(garbage=GarbagePolicy(batch=1))


async def delete(registry: Registry, name: str) -> None:
    await service.delete(registry, OPERATOR.author, RepositoryName.parse(name))


async def manifest(client: Client, name: str, layer: bytes) -> Reply:
    return await push_manifest(client, name, "2", image(layer))


async def blob(client: Client, name: str, layer: bytes) -> Reply:
    return await client("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(layer)}", layer)


async def session(client: Client, name: str, layer: bytes) -> Reply:
    """The first half; what follows is sent when the deletion is over."""
    return await client("PATCH", await begin_upload(client, name), layer[:1])


async def mount(client: Client, name: str, layer: bytes) -> Reply:
    return await client("POST", f"/v2/{OTHER}/blobs/uploads/?mount={digest_of(layer)}&from={name}")


@pytest.mark.parametrize("act", [manifest, blob, session, mount])
async def test_a_push_between_blob_and_manifest_at_each_step(
    registry: Registry, client: Client, act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push_image(client, OTHER, "1", b"other")
    statuses = []
    for step in itertools.count():
        name, layer = f"team/app{step}", b"layer %d" % step
        await push_image(client, name, "1", b"old", layer)
        await push_blob(client, name, layer)
        reply = await _at_step(registry, monkeypatch, step, lambda name=name, layer=layer: act(client, name, layer))
        if reply is None:
            break
        statuses.append(reply.status)
        assert reply.status in (201, 202) or set(reply.codes) == {"MANIFEST_BLOB_UNKNOWN"}
        if act is session:
            await _go_on(client, reply.headers.get("location", ""), layer)
        if act is mount and reply.status == 201:
            assert (await client("GET", f"/v2/{OTHER}/blobs/{digest_of(layer)}")).body == layer
        await _require_whole(client, name)
        await _push_again(client, name, layer)
    assert len(statuses) > 6
    assert act in (blob, session) or len(set(statuses)) == 2  # some came before, some too late
    await _require_clean(registry)


async def _at_step(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], Awaitable[Reply]]
) -> Reply | None:
    """Delete ``team/app<step>``, and act before its transaction of this number; None where it takes fewer."""
    write, numbers, replies = registry.database.write, itertools.count(), []

    async def write_at(function: Any, *arguments: Any, **named: Any) -> Any:
        if function is repositories.delete_some and next(numbers) == step:
            replies.append(await act())
        return await write(function, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(registry.database, "write", write_at)
        await delete(registry, f"team/app{step}")
    return replies[0] if replies else None


async def _go_on(client: Client, location: str, layer: bytes) -> None:
    reply = await client("PUT", f"{location}?digest={digest_of(layer)}", layer[1:])
    assert reply.status == 201 or reply.codes == ["BLOB_UPLOAD_UNKNOWN"]


async def _require_whole(client: Client, name: str) -> None:
    """Whatever is left of the repository, or has come to it again, is complete."""
    reply = await client("GET", f"/v2/{name}/tags/list")
    assert reply.status == 200 or reply.codes == ["NAME_UNKNOWN"]
    for tag in reply.json().get("tags") or []:
        found = await client("GET", f"/v2/{name}/manifests/{tag}")
        assert found.status == 200
        for layer in (found.json()["config"], *found.json()["layers"]):
            assert (await client("GET", f"/v2/{name}/blobs/{layer['digest']}")).status == 200


async def _push_again(client: Client, name: str, layer: bytes) -> None:
    await push_image(client, name, "2", layer)
    assert (await client("GET", f"/v2/{name}/manifests/2")).body == image(layer)
    for content in (CONFIG, layer):
        assert (await client("GET", f"/v2/{name}/blobs/{digest_of(content)}")).body == content


async def _require_clean(registry: Registry) -> None:
    stage, after = STAGES[0], ""
    while stage is not None:
        step = await registry.check.step(stage, after, seconds=60, full=True)
        assert step.findings == []
        stage, after = step.next_stage, step.next_after


@pytest.mark.parametrize("target", ["manifest", "blob", "session"])
async def test_it_goes_in_the_middle_of_a_body(registry: Registry, client: Client, target: str) -> None:
    """A request that writes to a session is ended with it; any other is judged by what is there at its end."""
    name, layer = "team/app", b"a layer"
    await push_image(client, name, "1", b"old")
    await push_blob(client, name, layer)
    content = image(layer) if target == "manifest" else layer
    method, path = {
        "manifest": ("PUT", f"/v2/{name}/manifests/2"),
        "blob": ("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(layer)}"),
        "session": ("PATCH", await begin_upload(client, name)),
    }[target]
    begun, gone = trio.Event(), trio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield content[:3]
        begun.set()
        await gone.wait()
        yield content[3:]

    async with trio.open_nursery() as nursery:

        async def delete_meanwhile() -> None:
            await begun.wait()
            await delete(registry, name)
            gone.set()

        nursery.start_soon(delete_meanwhile)
        reply = await client(method, path, body(), {"Content-Type": json.loads(image())["mediaType"]})  # type: ignore[arg-type]
    codes = set() if reply.status == 201 else set(reply.codes)
    expected = {"manifest": {"MANIFEST_BLOB_UNKNOWN"}, "blob": set(), "session": {"BLOB_UPLOAD_UNKNOWN"}}[target]
    assert codes == expected
    await _require_whole(client, name)
    await _push_again(client, name, layer)
    await _require_clean(registry)
