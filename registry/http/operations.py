"""Answers to the operator's commands, on the admin socket only. What can be long is asked for in steps."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from registry.http.answers import Answer, json_answer
from registry.http.parameters import form, number, required
from registry.oci.digests import Digest
from registry.oci.errors import ParameterInvalid
from registry.service import compaction, explanation
from registry.service.check import STAGES

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.service.registry import Registry

_STEP_SECONDS = 5.0


async def garbage_status(registry: Registry, _request: Request) -> Answer:
    return json_answer(200, await registry.status.read())


async def collect_garbage(registry: Registry, request: Request) -> Answer:
    """One run, or what it would do (``dry-run``)."""
    now = request.query.one("now") is not None
    if request.query.one("dry-run") is not None:
        return json_answer(200, asdict(await registry.garbage.dry_run(now=now, walk=True)))
    return json_answer(200, asdict(await registry.garbage.run_by_hand(request.principal.author, now=now)))


async def explain(registry: Registry, _request: Request, digest: str) -> Answer:
    return json_answer(200, {"sentences": await explanation.explain(registry, Digest.parse(digest))})


async def check(registry: Registry, request: Request) -> Answer:
    """One step of fsck; no stage takes longer than ``limit`` seconds, if that is given."""
    limit = request.query.one("limit")
    stage = request.query.one("stage") or STAGES[0]
    if stage not in STAGES:
        raise ParameterInvalid(f"stage: expected one of {', '.join(STAGES)}")
    step = await registry.check.step(
        stage,
        request.query.one("after") or "",
        seconds=_seconds(request),
        full=request.query.one("full") is not None,
        limit_seconds=math.inf if limit is None else float(number(limit)),
    )
    return json_answer(200, asdict(step))


async def scrub(registry: Registry, request: Request) -> Answer:
    """One step of a scrub; ``before`` is the before_ms of the first step's answer."""
    before = request.query.one("before")
    progress = await registry.scrub.run(before_ms=None if before is None else number(before), seconds=_seconds(request))
    return json_answer(200, asdict(progress))


async def mode(registry: Registry, _request: Request) -> Answer:
    return json_answer(200, asdict(registry.mode.current))


async def make_read_only(registry: Registry, request: Request) -> Answer:
    reason = required(await form(request), "reason")
    return json_answer(200, asdict(await registry.mode.set(request.principal.author, reason)))


async def make_read_write(registry: Registry, request: Request) -> Answer:
    return json_answer(200, asdict(await registry.mode.set(request.principal.author, None)))


async def database_size(registry: Registry, _request: Request) -> Answer:
    return json_answer(200, asdict(await compaction.read_size(registry)))


async def vacuum(registry: Registry, _request: Request) -> Answer:
    return json_answer(200, asdict(await compaction.vacuum(registry)))


async def take_snapshot(registry: Registry, _request: Request) -> Answer:
    """Let ``backup/registry.db`` be as of now; ``failure`` says why it is not."""
    return json_answer(200, {"failure": None if await registry.backup.take_now() else registry.backup.failure})


async def losses(registry: Registry, _request: Request) -> Answer:
    return json_answer(200, asdict(await registry.restoration.losses()))


async def recover(registry: Registry, request: Request) -> Answer:
    return json_answer(200, asdict(await registry.restoration.recover(request.principal.author)))


def _seconds(request: Request) -> float:
    text = request.query.one("seconds")
    return _STEP_SECONDS if text is None else min(float(number(text)), 60.0)
