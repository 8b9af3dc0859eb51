"""fsck: compares database and files while the registry serves, and reports. It changes nothing.

The check is made of steps, each of at most some seconds; a step tells where the next one goes on.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from registry.oci.digests import ContentHash
from registry.oci.errors import ParameterInvalid
from registry.store import check, orphans
from registry.store.check import Finding
from registry.store.files import hash_piece

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry
    from registry.store.check import BlobRow

STAGES = ("database", "rows", "uploads", "names", "files", "manifests", "contents")
"""In this order; the last two are those of a full check."""

_PIECE_BYTES = 4 * 1024 * 1024


@dataclass
class Step:
    """``next_stage`` is None at the end. ``notes`` are no findings: what the daemon itself will clean up or heal."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    next_stage: str | None = None
    next_after: str = ""
    done_bytes: int = 0
    total_bytes: int = 0


class Check:
    def __init__(self, registry: Registry, data: Path) -> None:
        self._registry = registry
        self._data = data
        self._hops = registry.hops.unwatched()

    async def step(
        self, stage: str, after: str, *, seconds: float, full: bool, limit_seconds: float = math.inf
    ) -> Step:
        """Check one stage, from ``after`` on, for so long.

        The first stages have no place to go on from: one that takes longer than the limit is to be begun anew.
        """
        step = Step()
        deadline = trio.current_time() + seconds
        going_on = ""
        match stage:
            case "files" | "contents":
                going_on = await self._check_blobs(step, after, deadline, contents=stage == "contents")
            case "manifests":
                going_on = await self._check_manifests(step, after, deadline)
            case _:
                if not await self._check_at_once(step, stage, limit_seconds):
                    step.next_stage = stage
                    return step
        step.next_stage, step.next_after = (stage, going_on) if going_on else (_stage_after(stage, full=full), "")
        return step

    async def _check_at_once(self, step: Step, stage: str, limit_seconds: float) -> bool:
        """Whether it came to its end within the limit."""
        path = self._data / "registry.db"
        try:
            with trio.fail_after(limit_seconds):
                match stage:
                    case "database":
                        step.findings += await self._hops(check.sqlite_findings, path, limit_seconds=limit_seconds)
                    case "rows":
                        step.findings += await self._hops(check.limited_row_findings, path, limit_seconds=limit_seconds)
                    case "uploads":
                        await self._check_uploads(step)
                    case "names":
                        await self._check_names(step)
        except (trio.TooSlowError, check.OutOfTime):
            return False
        return True

    async def _check_uploads(self, step: Step) -> None:
        """The file of a session has at least the bytes that were acknowledged."""
        for upload_id, offset in await self._registry.database.read(check.list_uploads):
            size = await self._registry.hops(self._registry.files.size_of_upload, upload_id)
            is_idle = self._registry.uploads.is_idle(upload_id)  # while it is published it has no file
            if (
                (size or 0) < offset
                and is_idle
                and upload_id in dict(await self._registry.database.read(check.list_uploads))
            ):
                step.findings.append(
                    Finding(f"uploads/{upload_id}", f"has {size or 0} bytes, {offset} were acknowledged")
                )

    async def _check_names(self, step: Step) -> None:
        """Files without a row are swept in time; files with a name that is not ours are nobody's."""
        walk = self._registry.files.walk()
        nothing: list[str] = []
        while paths := await self._registry.hops(next, walk, nothing):
            for path in await self._registry.database.read(orphans.without_row, paths):
                if not orphans.is_ours(path):
                    step.findings.append(Finding(path, "is no file of the registry; move it away"))
                elif self._registry.uploads.is_idle(path.rpartition("/")[2]):
                    step.notes.append(Finding(path, "has no row; garbage collection removes it in time"))

    async def _check_blobs(self, step: Step, after: str, deadline: float, *, contents: bool) -> str:
        """Where to go on; nothing at the end."""
        _, step.total_bytes = await self._registry.database.read(check.totals)
        while page := await self._registry.database.read(check.list_blobs, after=after):
            for row in page:
                finding = await (self._check_content(row) if contents else self._check_file(row))
                if finding is not None:
                    (step.notes if row.is_condemned else step.findings).append(finding)
                after = str(row.digest)
                step.done_bytes += row.size
                if trio.current_time() >= deadline:
                    return after
        return ""

    async def _check_file(self, row: BlobRow) -> Finding | None:
        if row.damage is not None:
            return Finding(str(row.digest), f"is {row.damage}; push it again")
        size = await self._registry.hops(self._registry.files.size_of_blob, row.digest)
        if size == row.size or not await self._is_current(row):
            return None
        return Finding(str(row.digest), "has no file" if size is None else f"has {size} bytes instead of {row.size}")

    async def _check_content(self, row: BlobRow) -> Finding | None:
        if row.damage is not None:
            return None  # told by the stage before
        content_hash = ContentHash(row.digest.algorithm)
        try:
            descriptor = await self._registry.hops(self._registry.files.open_uncached, row.digest)
            try:
                while await self._registry.hops(hash_piece, descriptor, content_hash, _PIECE_BYTES):
                    pass
            finally:
                os.close(descriptor)
        except OSError as error:
            fault = f"can't be read: {error}"
        else:
            fault = "" if content_hash.digest() == row.digest else "has other content than its digest says"
        return Finding(str(row.digest), fault) if fault and await self._is_current(row) else None

    async def _is_current(self, row: BlobRow) -> bool:
        """Whether the row still stands as it was read: what is collected or pushed meanwhile is no finding."""
        return await self._registry.database.read(check.find_blob, row.digest) == row

    async def _check_manifests(self, step: Step, after: str, deadline: float) -> str:
        if after and not (after.isascii() and after.isdigit()):
            raise ParameterInvalid(f"after: no place among manifests: {after[:32]!r}")
        last: int | None = int(after or 0)
        while last is not None:
            findings, last = await self._registry.database.read(check.wrong_manifests, after=last)
            step.findings += findings
            if trio.current_time() >= deadline and last is not None:
                return str(last)
        return ""


def _stage_after(stage: str, *, full: bool) -> str | None:
    stages = STAGES if full or stage in STAGES[-2:] else STAGES[:-2]
    position = stages.index(stage) + 1
    return stages[position] if position < len(stages) else None
