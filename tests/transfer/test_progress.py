"""What is told of large blobs on their way."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.oci.names import RepositoryName, Tag
from registry.transfer.exporting import Exporter, open_destination
from registry.transfer.importing import Importer, parse_target
from registry.transfer.layouts import read_layout
from registry.transfer.progress import LARGE_BYTES
from registry.transfer.sources import open_source
from tests.tools.layouts import Layout, make_image, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.transfer.client import Client


class Log:
    """Each blob that progress was told of: its label, its size and the steps."""

    def __init__(self) -> None:
        self.blobs: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def __call__(self, label: str, size: int, /) -> Iterator[Callable[[int], None]]:
        steps: list[int] = []
        self.blobs.append((label, size, steps))
        yield steps.append

    def assert_has(self, layout: Layout) -> None:
        """The large layer, the second of two, and nothing else."""
        [(label, size, steps)] = self.blobs
        digest = Digest.parse(layout.layers[1]["digest"])
        assert label == f"sha256:{digest.hex[:12]}"
        assert size == sum(steps) == layout.layers[1]["size"] > LARGE_BYTES
        assert len([step for step in steps if step]) > 2


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_image(
        tmp_path / "image", make_layer("small", os.urandom(1000)), make_layer("large", os.urandom(LARGE_BYTES))
    )


def test_an_import_tells_how_far_a_large_blob_has_come(operator: Client, layout: Layout) -> None:
    log = Log()
    with open_source(layout.folder) as source:
        found = read_layout(source)
        Importer(operator, found, lambda _: None, log).push(found.images[0], [parse_target("team/app:1")])
    log.assert_has(layout)


@pytest.mark.parametrize("destination", ["out", "out.tar"])
def test_an_export_tells_how_far_a_large_blob_has_come(
    operator: Client, layout: Layout, tmp_path: Path, destination: str
) -> None:
    with open_source(layout.folder) as source:
        found = read_layout(source)
        Importer(operator, found, lambda _: None).push(found.images[0], [parse_target("team/app:1")])
    log = Log()
    with open_destination(tmp_path / destination) as opened:
        Exporter(operator, RepositoryName("team/app"), opened, lambda _: None, log).write(Tag("1"))
    log.assert_has(layout)
