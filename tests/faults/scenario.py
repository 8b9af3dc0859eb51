"""The reference scenario: every kind of write, one after another, so that each run makes the same system calls."""

from __future__ import annotations

import http.client
import json
import random
from typing import TYPE_CHECKING

from registry.transfer.client import Client
from registry.transfer.errors import RequestFailed, TransferFailed
from registry.transfer.importing import Importer, parse_target
from registry.transfer.layouts import read_layout
from registry.transfer.sources import open_source
from tests.tools.content import CONFIG, image
from tests.tools.layouts import make_image, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.facts import Session
    from tests.faults.ledger import Ledger

Act = tuple[str, "Callable[[], int | None]", int]
"""What it is, what does it, and the status that it has to be answered with."""

LARGE_BYTES = 1_200_000
"""More than is written in one hop."""


class UnexpectedAnswer(Exception):
    """An act was answered with another status than it has to have."""


class Scenario:
    """Works on repositories whose names begin with ``name``; the same name makes the same content."""

    def __init__(self, ledger: Ledger, data: Path, folder: Path, name: str) -> None:
        chance = random.Random(name)
        self._ledger = ledger
        self._data = data
        self._name, self._source, self._imported = name, f"{name}/source", f"{name}/imported"
        self._small, self._old, self._unused, self._shared = (chance.randbytes(2000) for _ in range(4))
        self._large = chance.randbytes(LARGE_BYTES)
        self._chunks = [chance.randbytes(size) for size in (40_000, 70_000, 3_000)]
        self._first, self._second = image(self._old), image(self._old, annotations={"of": name})
        self._layer = make_layer("file", chance.randbytes(5000))
        self._layout = make_image(folder / name, self._layer)
        self._session: Session | None = None

    def prepare(self) -> None:
        """What the scenario changes later."""
        statuses = [
            self._ledger.push(self._source, self._shared),
            self._ledger.push(self._name, CONFIG),
            self._ledger.push(self._name, self._old),
            self._ledger.push(self._name, self._unused),
            self._ledger.push_manifest(self._name, self._first, ["old", "moving"]),
            self._ledger.push_manifest(self._name, self._second, ["second", "other"]),
        ]
        assert statuses == [201] * 6, statuses

    def run(self) -> bool:
        """Every act, until one is not answered; whether all were, each with the status that it has to have."""
        for what, act, status in self._acts():
            answered = act()
            if answered is None:
                return False
            if answered != status:
                raise UnexpectedAnswer(f"{what} was answered with {answered}, not {status}")
        return True

    def _acts(self) -> list[Act]:
        ledger, name = self._ledger, self._name
        manifest = image(self._large, b"".join(self._chunks))
        return [
            ("a push", lambda: ledger.push(name, self._small), 201),
            ("a push of no bytes", lambda: ledger.push(name, b""), 201),
            ("a large push", lambda: ledger.push(name, self._large), 201),
            ("a push in chunks", lambda: ledger.push_chunked(name, self._chunks), 201),
            ("a push by sha512", lambda: ledger.push(name, self._small, "sha512"), 201),
            ("a mount", lambda: ledger.mount(name, self._shared, self._source), 201),
            ("a manifest", lambda: ledger.push_manifest(name, manifest, ["new", "moving"]), 201),
            ("the end of a tag", lambda: ledger.delete_tag(name, "old"), 202),
            ("the end of a manifest", lambda: ledger.delete_manifest(name, self._second), 202),
            ("the end of a blob", lambda: ledger.delete_blob(name, self._unused), 202),
            ("a blob that was deleted", lambda: ledger.push(name, self._unused), 201),
            ("the end of a second blob", lambda: ledger.delete_blob(name, b""), 202),
            ("the end of a third blob", lambda: ledger.delete_blob(name, self._small, "sha512"), 202),
            *self._uploads(),
            ("an import", self._import, 201),
            ("garbage collection", self._collect_garbage, 200),
        ]

    def _uploads(self) -> list[Act]:
        """One upload that is cancelled, and one that stays open."""
        ledger = self._ledger

        def begin() -> int | None:
            self._session = ledger.begin(self._name)
            return None if self._session is None else 202

        def append() -> int | None:
            return ledger.append(self._session, self._chunks[0])

        opened = [("a new upload", begin, 202), ("a chunk", append, 202)]
        return [*opened, ("the end of an upload", lambda: ledger.cancel(self._session), 204), *opened]

    def _import(self) -> int | None:
        """What ``cargohold import`` does, over the admin socket."""
        layout = self._layout
        contents = [self._layer.content, layout.blob_path(json.loads(layout.manifest)["config"]["digest"]).read_bytes()]
        done = self._ledger.push_elsewhere(self._imported, contents, layout.manifest, ["latest"], self._run_importer)
        return 201 if done else None

    def _collect_garbage(self) -> int | None:
        """Removes the blobs that were deleted. What was pushed has a lease, and stays."""
        try:
            with Client(self._data / "admin.sock") as client:
                client.operate("POST", "gc", now="")
        except RequestFailed:
            return 500
        except (OSError, http.client.HTTPException):
            return None
        return 200

    def _run_importer(self) -> bool:
        try:
            with Client(self._data / "admin.sock") as client, open_source(self._layout.folder) as source:
                layout = read_layout(source)
                for found in layout.images:
                    Importer(client, layout, str).push(found, [parse_target(f"{self._imported}:latest")])
        except (TransferFailed, OSError, http.client.HTTPException):
            return False
        return True
