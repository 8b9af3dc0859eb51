"""``cargohold import`` and ``export`` for somebody at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from registry.oci.digests import Digest
from registry.transfer.progress import LARGE_BYTES
from tests.tools.layouts import Layout, make_image, make_layer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_image(tmp_path / "image", make_layer("small", b"small"), make_layer("large", os.urandom(LARGE_BYTES)))


def _commands(tmp_path: Path, layout: Layout) -> list[list[str | Path]]:
    """An import, and an export of the same."""
    cargohold: list[str | Path] = [sys.executable, "-m", "registry"]
    common: list[str | Path] = ["--data", tmp_path / "data"]
    return [
        [*cargohold, "import", *common, "--as", "team/app:1", layout.folder],
        [*cargohold, "export", *common, "team/app:1", "--to", tmp_path / "out"],
    ]


def _run_at_a_terminal(command: list[str | Path]) -> tuple[str, str]:
    """Standard output, and what the terminal showed of standard error."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        shown = b""
        while piece := _read(controller):
            shown += piece
        output, _ = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == 0, shown
    return output, shown.decode()


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 4096)
    except OSError:  # EIO: nobody has the terminal open any more
        return b""


def test_at_a_terminal_a_large_blob_has_a_bar(tmp_path: Path, layout: Layout) -> None:
    small, large = (layer["digest"] for layer in layout.layers)
    for command in _commands(tmp_path, layout):
        output, shown = _run_at_a_terminal(command)
        assert f"sha256:{Digest.parse(large).hex[:12]}  [" in shown
        assert "#]  100%" in shown
        assert Digest.parse(small).hex[:12] not in shown
        assert f"team/app: {large}\n" in output
        assert f"team/app: {small}\n" in output


def test_without_a_terminal_there_are_lines_only(tmp_path: Path, layout: Layout) -> None:
    for command in _commands(tmp_path, layout):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert all(f"team/app: {layer['digest']}\n" in done.stdout for layer in layout.layers)
        assert "100%" not in done.stdout
