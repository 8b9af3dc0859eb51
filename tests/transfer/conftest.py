"""A registry reached by its admin socket, as the commands reach it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from registry import admin
from registry.service.policy import Policy
from tests.tools.layouts import Layout, make_image, make_index, make_layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.transfer.client import Client


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Client]:
    with admin.connect(tmp_path / "data", Policy()) as client:
        yield client


@pytest.fixture
def small_image(tmp_path: Path) -> Layout:
    return make_image(tmp_path / "image", *(make_layer(f"{number}", os.urandom(2000)) for number in range(2)))


@pytest.fixture
def small_index(tmp_path: Path) -> Layout:
    shared = make_layer("shared", os.urandom(2000))
    return make_index(tmp_path / "index", {"amd64": [shared, make_layer("a", b"a")], "arm64": [shared]})
