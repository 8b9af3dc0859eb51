"""The registry as a part of another ASGI application that runs on trio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.http.app import make_app
from registry.service.policy import Policy
from registry.service.registry import open_registry

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


def create_app(data: str | Path, policy: Policy | None = None) -> EmbeddedRegistry:
    """An ASGI application that keeps its registry in the folder ``data``.

    The server has to run its lifespan: the registry is open from startup to shutdown. Clients expect it at ``/v2/`` of
    a host; mount it there (and at /live, /healthz, /ready if you like). The daemon's guard against hostile connections
    is not part of it; ``policy.access`` is, and its mode "token" needs /token mounted too.
    """
    return EmbeddedRegistry(Path(data), policy or Policy())


class EmbeddedRegistry:
    def __init__(self, data: Path, policy: Policy) -> None:
        self._data = data
        self._policy = policy
        self._app: ASGIFramework | None = None

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            raise RuntimeError("the registry is not open: the server has to run the lifespan of this application")
        else:
            await self._app({**scope, "root_path": ""}, receive, send)  # type: ignore[arg-type]

    async def _live(self, receive: Any, send: Any) -> None:
        """Open on startup, close on shutdown; a registry that can't be opened fails the startup."""
        await receive()
        try:
            async with open_registry(self._data, self._policy) as registry:
                self._app = make_app(registry)
                await send({"type": "lifespan.startup.complete"})
                await receive()
                self._app = None
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})
