"""An import that ends in the middle of a blob."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from registry.transfer.errors import RequestFailed
from tests.tools.daemon import running
from tests.tools.layouts import Layout, make_image, make_layer
from tests.transfer.test_transfer import import_

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.transfer.client import Client

_HUGE = 1 << 32
"""Takes longer to import than a test runs; the file has no blocks on the disk."""


@pytest.fixture
def huge_image(tmp_path: Path) -> Layout:
    layout = make_image(tmp_path / "image", make_layer("small", b"small"), make_layer("huge", b"huge"))
    os.truncate(layout.blob_path(layout.layers[1]["digest"]), _HUGE)
    return layout


@pytest.fixture(params=["beside the daemon", "without a daemon"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "without a daemon":
        yield tmp_path / "data"
    else:
        with running(tmp_path / "data") as daemon:
            yield daemon.data


def _end(data: Path, layout: Layout, number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal to an import once it is in the middle of the huge blob: exit status, output, errors."""
    before = _large_uploads(data)
    command = [sys.executable, "-m", "registry", "import", "--data", data, "--as", "team/app:1", layout.folder]
    with subprocess.Popen(
        ["env", "--default-signal", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not _large_uploads(data) - before:
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def _large_uploads(data: Path) -> set[str]:
    """The open uploads that have got something of the huge blob."""
    found = set()
    for file in data.glob("uploads/*"):
        with suppress(FileNotFoundError):
            if file.stat().st_size > 1 << 20:
                found.add(file.name)
    return found


def _sessions(data: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{data}/registry.db?mode=ro", uri=True)) as database:
        return [upload_id for (upload_id,) in database.execute("SELECT id FROM upload")]


def test_ctrl_c_leaves_no_session_and_says_so_in_one_line(data: Path, huge_image: Layout) -> None:
    status, output, errors = _end(data, huge_image, signal.SIGINT)
    assert status == 1
    assert errors == "cargohold: interrupted; what is in the registry stays there: import again to go on\n"
    assert huge_image.layers[0]["digest"] in output
    assert _sessions(data) == []
    assert list(data.glob("uploads/*")) == []


def test_a_kill_leaves_a_session_to_expire_and_does_not_stand_in_the_way(tmp_path: Path, huge_image: Layout) -> None:
    with running(tmp_path / "data") as daemon:
        assert _end(daemon.data, huge_image, signal.SIGKILL)[0] == -signal.SIGKILL
        [abandoned] = _sessions(daemon.data)
        assert _end(daemon.data, huge_image, signal.SIGINT)[0] == 1
        assert _sessions(daemon.data) == [abandoned]


def test_a_blob_that_is_refused_leaves_no_session(operator: Client, tmp_path: Path, small_image: Layout) -> None:
    small_image.blob_path(small_image.layers[0]["digest"]).write_bytes(b"rot")
    with pytest.raises(RequestFailed, match="another digest"):
        import_(operator, small_image.folder)
    assert _sessions(tmp_path / "data") == []
    assert list(tmp_path.glob("data/uploads/*")) == []
