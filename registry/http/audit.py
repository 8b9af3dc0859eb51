"""The audit, page by page, on the admin socket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.http.answers import json_answer
from registry.http.parameters import number
from registry.service import audit

if TYPE_CHECKING:
    from registry.http.answers import Answer, Request
    from registry.service.registry import Registry


async def read(registry: Registry, request: Request) -> Answer:
    since_ms, after_id = (number(request.query.one(name) or "0") for name in ("since", "after"))
    return json_answer(200, asdict(await audit.read(registry, since_ms=since_ms, after_id=after_id)))
