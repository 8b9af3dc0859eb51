"""Reading what strace wrote: calls of several threads, one inside another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import sync_trace
from tests.faults.sync_trace import Part

if TYPE_CHECKING:
    from pathlib import Path

LINES = """\
10 recvfrom(5<socket:[1]>, "PUT /v2/a/blobs/uploads/1?digest=sha256:0 HTTP/1.1\\r\\n"..., 65536, 0, NULL, NULL) = 90
11 pwrite64(7</data/uploads/1>, "bytes", 5, 0) = 5
11 fdatasync(7</data/uploads/1> <unfinished ...>
12 rename("/data/uploads/0", "/data/blobs/sha256/0") = 0
11 <... fdatasync resumed>)                = 0
11 fsync(8</data/blobs/sha256> <unfinished ...>
10 sendto(5<socket:[1]>, "HTTP/1.1 201 \\r\\nlocation: "..., 339, 0, NULL, 0) = 339
11 <... fsync resumed>)                    = 0
11 unlink("/data/blobs/sha256/1")          = -1 ENOENT (No such file or directory)
10 +++ exited with 0 +++
"""


def read(tmp_path: Path) -> Part:
    (tmp_path / "trace").write_text(LINES)
    (exchange,) = sync_trace.exchanges(sync_trace.read(tmp_path / "trace"))
    assert (exchange.request, exchange.status) == ("PUT /v2/a/blobs/uploads/1?digest=sha256:0", 201)
    return exchange


def test_a_sync_counts_when_it_has_ended(tmp_path: Path) -> None:
    exchange = read(tmp_path)
    (rename,) = exchange.of(sync_trace.RENAMES)
    assert exchange.keeps("/data/uploads/1")
    assert not exchange.keeps("/data/uploads/1", until=rename.start)


def test_a_sync_that_ends_after_the_answer_does_not_count(tmp_path: Path) -> None:
    assert read(tmp_path).synced("/data/blobs/sha256", since=0) is None


def test_a_call_that_failed_has_done_nothing(tmp_path: Path) -> None:
    read(tmp_path)
    calls = sync_trace.read(tmp_path / "trace")
    assert Part(tuple(calls), end=99).of(sync_trace.UNLINKS) == []
