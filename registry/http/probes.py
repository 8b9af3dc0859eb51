"""Answers for whoever watches the daemon: alive, ready, and ready to be pushed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.http.answers import Answer, json_answer

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.service.registry import Registry


async def live(_registry: Registry, _request: Request) -> Answer:
    return _text(200, "OK")


async def healthz(_registry: Registry, _request: Request) -> Answer:
    return json_answer(200, {"status": "ok"})


async def ready(registry: Registry, request: Request) -> Answer:
    """Whether pulls can be served; with ``?verbose`` what is degraded, with ``?push`` whether a push can be stored."""
    degraded = registry.health.degraded()
    if request.query.one("push") is not None:
        failure = await registry.health.probe_push()
        if failure is not None and failure not in degraded:
            degraded.append(failure)
    if request.query.one("verbose") is not None:
        complaints = list(dict.fromkeys([*degraded, *registry.health.notices()]))
        return json_answer(503 if degraded else 200, {"ready": not degraded, "degraded": complaints})
    return _text(503, "\n".join(degraded)) if degraded else _text(200, "OK")


def _text(status: int, text: str) -> Answer:
    return Answer(status, (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")), text.encode())
