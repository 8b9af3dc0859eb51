"""The client of our own: what it says it did, it did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import content
from benchmarks.client import Job
from benchmarks.connection import LAYERS, Connection, image_digests, push_bytes, push_image
from benchmarks.work import LoadFailed
from tests.tools.content import digest_of
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE = 300_000


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "data") as daemon:
        yield daemon


@pytest.fixture
def connection(daemon: Daemon) -> Iterator[Connection]:
    connection = Connection(daemon.port)
    yield connection
    connection.socket.close()


def ask(job: Job) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.client"],
        input=json.dumps(asdict(job)),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def do(job: Job) -> dict[str, Any]:
    done = ask(job)
    assert done.returncode == 0, done.stderr
    work: dict[str, Any] = json.loads(done.stdout)
    assert work["seconds"] > 0
    return work


def requests(daemon: Daemon) -> Counter[tuple[str, int]]:
    """How many there were of each method and status; ends the daemon, so that all are logged."""
    assert daemon.stop() == 0
    return Counter((entry["method"], entry["status"]) for entry in daemon.entries() if "method" in entry)


def test_pieces_make_a_blob_of_its_own_for_each_number() -> None:
    sizes = [len(piece) for piece in content.pieces(1, 2 * content.MIB + 5)]
    assert sizes == [content.MIB, content.MIB, 5]
    assert content.digest_of(1, _SIZE) == digest_of(b"".join(content.pieces(1, _SIZE)))
    assert content.digest_of(1, _SIZE) != content.digest_of(2, _SIZE)
    assert len(content.small_blob(1)) == content.SMALL_BYTES
    assert content.small_blob(1) != content.small_blob(2)


def test_large_blobs_are_pushed_and_pulled(daemon: Daemon) -> None:
    work = do(Job("push-blob", daemon.port, 1, repository="a", count=2, first=7, size=3 * content.MIB + 1))
    assert work["operations"] == 2
    for number in (7, 8):
        pushed = b"".join(content.pieces(number, 3 * content.MIB + 1))
        assert daemon.request("GET", f"/v2/a/blobs/{digest_of(pushed)}")[2] == pushed
    digest = content.digest_of(7, 3 * content.MIB + 1)
    assert do(Job("pull-blob", daemon.port, 1, repository="a", references=[digest]))["operations"] == 1


def test_images_are_pushed_each_once_and_pulled_whole(daemon: Daemon) -> None:
    work = do(Job("push-image", daemon.port, 2, repository="a", count=2, size=_SIZE))
    assert work["operations"] == 4
    tags = [f"i{place * (LAYERS + 1)}" for place in range(4)]
    assert do(Job("pull-image", daemon.port, 2, repository="a", references=tags))["operations"] == 2
    blobs = 4 * (LAYERS + 1)
    pulls = {("GET", 200): 2 * (1 + LAYERS + 1)}
    assert requests(daemon) == {("HEAD", 404): blobs, ("POST", 202): blobs, ("PUT", 201): blobs + 4, **pulls}


def test_heads_are_answered(daemon: Daemon, connection: Connection) -> None:
    push_image(connection, "a", 0, image_digests(0, _SIZE), _SIZE)
    work = do(Job("heads", daemon.port, 3, references=["/v2/a/manifests/i0"]))
    assert 0 < work["operations"] <= requests(daemon)["HEAD", 200]


@pytest.mark.parametrize(
    "job",
    [
        Job("heads", 0, 2, references=["/v2/a/manifests/none"], seconds=60),
        Job("pull-image", 0, 2, repository="a", references=["none"], seconds=60),
        Job("pull-blob", 0, 1, repository="a", references=[digest_of(b"none")], seconds=60),
        Job("push-blob", 0, 1, repository="NOT/VALID", count=1, size=1),
        Job("push-image", 0, 2, repository="NOT/VALID", count=1, size=1),
    ],
    ids=lambda job: job.kind,
)
def test_another_answer_than_the_expected_ends_the_load(job: Job, daemon: Daemon) -> None:
    done = ask(Job(**{**asdict(job), "port": daemon.port}))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "404" in done.stderr or "400" in done.stderr


def test_a_body_that_is_not_kept_leaves_the_connection_in_order(connection: Connection) -> None:
    [body] = content.pieces(0, _SIZE)
    push_bytes(connection, "a", digest_of(body), body)
    for keep, expected in ((False, b""), (True, body), (False, b"")):
        connection.send("GET", f"/v2/a/blobs/{digest_of(body)}")
        assert connection.answer(200, keep=keep)[1] == expected


def test_another_status_is_refused_with_what_was_said(connection: Connection) -> None:
    connection.send("GET", "/v2/a/manifests/none")
    with pytest.raises(LoadFailed, match=r"404 .* instead of 200: .*_UNKNOWN"):
        connection.answer(200)
