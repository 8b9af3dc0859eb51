"""The registry inside another application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from registry import create_app
from registry.service.policy import Policy
from registry.store.folder import FolderUnusable
from tests.tools.asgi import Client
from tests.tools.content import push_image

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_is_open_between_startup_and_shutdown(tmp_path: Path) -> None:
    app = create_app(tmp_path / "data", Policy(delete_enabled=False))
    with pytest.raises(RuntimeError, match="lifespan"):
        await Client(app)("GET", "/v2/")
    for reference in ("v1", "v2"):
        to_app, app_receives = trio.open_memory_channel[dict[str, Any]](1)
        app_sends, from_app = trio.open_memory_channel[dict[str, Any]](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(app, {"type": "lifespan"}, app_receives.receive, app_sends.send))
            await to_app.send({"type": "lifespan.startup"})
            assert await from_app.receive() == {"type": "lifespan.startup.complete"}
            manifest = await push_image(Client(app), "a", reference)
            reply = await Client(app)("GET", "/v2/a/manifests/v1")
            assert reply.body == manifest
            assert (await Client(app)("DELETE", "/v2/a/manifests/v1")).status == 405
            await to_app.send({"type": "lifespan.shutdown"})
            assert await from_app.receive() == {"type": "lifespan.shutdown.complete"}


async def test_a_folder_that_can_not_be_opened_fails_the_startup(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    app = create_app(tmp_path / "file")
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    with pytest.raises(FolderUnusable, match="Not a directory"):
        await app({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in messages] == ["lifespan.startup.failed"]
