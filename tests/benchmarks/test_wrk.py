"""Load by wrk: what it prints, and that what it pushes is there."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import content, site, wrk
from benchmarks.work import Latency, LoadFailed, Work
from registry.oci.media_types import OCI_IMAGE
from tests.tools.content import digest_of, image, to_json
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_wrk = pytest.mark.skipif(wrk.missing() is not None, reason=str(wrk.missing()))

_CORE = site.cores()[1]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "data") as daemon:
        yield daemon


def result(**more: object) -> str:
    fields = {"operations": 10, "failed": 0, "seconds": 2.5, "complaint": ""}
    return f"Running 1s test\nended\n{json.dumps(fields | more)}\n"


def test_the_last_line_is_the_result() -> None:
    assert wrk.parse(result(), "", 0.5) == Work(10, 2.5, 0.5)


def test_the_latency_is_told_where_it_was_measured() -> None:
    assert wrk.parse(result(half=0.001, most=0.02), "", 0.5) == Work(10, 2.5, 0.5, Latency(0.001, 0.02))


def test_a_request_that_failed_makes_the_load_fail() -> None:
    with pytest.raises(LoadFailed, match="3 of 10 requests failed: 404 not here"):
        wrk.parse(result(failed=3, complaint="404 not here"), "", 0)


def test_what_wrk_complains_of_is_said() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        wrk.parse("", "unable to connect to 127.0.0.1", 0)


def test_each_thread_has_its_share_of_the_lines(tmp_path: Path) -> None:
    wrk.write_lists(tmp_path / "lists", ["a", "b", "c", "d", "e"], 2)
    found = {path.name: path.read_text() for path in (tmp_path / "lists").iterdir()}
    assert found == {"1": "a\nc\ne\n", "2": "b\nd\n"}


def test_no_thread_is_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 lines for 2 threads"):
        wrk.write_lists(tmp_path / "lists", ["a"], 2)


@needs_wrk
def test_blobs_are_pushed_each_once(daemon: Daemon, tmp_path: Path) -> None:
    bodies = [content.small_blob(number) for number in range(10)]
    digests = [f"sha256:{hashlib.sha256(body.encode()).hexdigest()}" for body in bodies]
    lines = [f"POST\t/v2/a/blobs/uploads/\t{digest}\t{body}" for digest, body in zip(digests, bodies, strict=True)]
    wrk.write_lists(tmp_path / "lists", lines, 3)
    work = wrk.push(daemon.port, tmp_path / "lists", 3, _CORE)
    assert work.operations == 10
    assert work.latency is not None
    assert 0 < work.latency.half <= work.latency.most <= work.seconds
    for digest, body in zip(digests, bodies, strict=True):
        assert daemon.request("GET", f"/v2/a/blobs/{digest}")[2] == body.encode()
    assert daemon.stop() == 0  # all is logged now
    statuses = [entry["status"] for entry in daemon.entries() if entry.get("method") in {"POST", "PUT"}]
    assert sorted(statuses) == [201] * 10 + [202] * 10


@needs_wrk
def test_manifests_are_pushed_and_walked(daemon: Daemon, tmp_path: Path) -> None:
    bodies = [to_json({**json.loads(image()), "annotations": {"number": str(number)}}).decode() for number in range(4)]
    config = digest_of(b"{}")
    assert daemon.request("POST", f"/v2/a/blobs/uploads/?digest={config}", b"{}")[0] == 201
    lines = [f"PUT\t/v2/a/manifests/t{number}\t{OCI_IMAGE}\t{body}" for number, body in enumerate(bodies)]
    wrk.write_lists(tmp_path / "lists", lines, 2)
    assert wrk.push(daemon.port, tmp_path / "lists", 2, _CORE).operations == 4
    assert [daemon.request("GET", f"/v2/a/manifests/t{number}")[2].decode() for number in range(4)] == bodies
    wrk.write_lists(tmp_path / "targets", [f"/v2/a/manifests/t{number}" for number in range(4)], 1)
    assert wrk.walk(daemon.port, tmp_path / "targets", 2, 1, _CORE).operations > 0


@needs_wrk
def test_a_push_that_is_refused_is_said(daemon: Daemon, tmp_path: Path) -> None:
    wrk.write_lists(tmp_path / "lists", [f"POST\t/v2/a/blobs/uploads/\t{digest_of(b'other')}\tbody"], 1)
    with pytest.raises(LoadFailed, match="DIGEST_INVALID"):
        wrk.push(daemon.port, tmp_path / "lists", 1, _CORE)


@needs_wrk
def test_a_walk_to_what_is_not_there_fails(daemon: Daemon, tmp_path: Path) -> None:
    wrk.write_lists(tmp_path / "targets", ["/v2/a/manifests/none"], 1)
    with pytest.raises(LoadFailed, match="4xx"):
        wrk.walk(daemon.port, tmp_path / "targets", 1, 1, _CORE)
