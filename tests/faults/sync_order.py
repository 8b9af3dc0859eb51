"""The order of writes, renames and syncs behind each answer, told by the system calls of a real daemon.

What a file system does without a sync is a matter of luck; here it is seen that no sync is missing. The client sends
one request after the other, so that what is called between a request and its answer belongs to it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import collector, strace, sync_trace
from tests.faults.ledger import Ledger
from tests.faults.report import Report
from tests.faults.sync_trace import OPENS, RENAMES, UNLINKS, WRITES, Part
from tests.tools.content import CONFIG, image
from tests.tools.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.strace import Call
    from tests.faults.sync_trace import Exchange

_READS = ("GET", "HEAD")


def run(folder: Path, *, full: bool) -> Report:
    """Both forms are the same."""
    report = Report("sync_order", skipped=strace.missing())
    if report.skipped is None:
        judge(report, record(folder), folder / "data")
        judge_collection(report, record_collection(folder), folder / "collected")
    return report


def record(folder: Path, prefix: Sequence[str] = ()) -> Path:
    """Trace a daemon that is asked for each act; ``prefix`` stands before the command that starts it."""
    trace = folder / "trace"
    daemon = Daemon(folder / "data")
    daemon.prefix = [*sync_trace.command(trace), *prefix]
    try:
        daemon.start()
        _act(Ledger(daemon))
        assert daemon.stop() == 0, daemon.log.read_text()
    finally:
        daemon.kill()
    _wait_for_end(trace, daemon.process.pid)
    return trace


def _act(ledger: Ledger) -> None:
    for content in (CONFIG, b"pushed at once", b"deleted"):
        ledger.push("traced/one", content)
    ledger.push("traced/one", b"with another algorithm", "sha512")
    ledger.push_chunked("traced/one", [b"first" * 1000, b"second" * 1000, b"last"])
    left_open, cancelled = ledger.begin("traced/one"), ledger.begin("traced/one")
    assert left_open is not None
    assert cancelled is not None
    ledger.append(left_open, b"left open")
    ledger.append(cancelled, b"cancelled")
    ledger.cancel(cancelled)
    ledger.mount("traced/two", CONFIG, "traced/one")
    manifest = image(b"pushed at once")
    ledger.push_manifest("traced/one", manifest, ["latest", "old"])
    ledger.delete_tag("traced/one", "old")
    ledger.delete_manifest("traced/one", manifest)
    ledger.delete_blob("traced/one", b"deleted")


def record_collection(folder: Path, prefix: Sequence[str] = ()) -> Path:
    """Trace a garbage collection that unlinks; the data is in the folder ``collected``."""
    trace = folder / "trace-of-collection"
    program = [sys.executable, "-m", collector.__name__, str(folder / "collected")]
    with subprocess.Popen([*sync_trace.command(trace), *prefix, *program], stdout=subprocess.DEVNULL) as process:
        assert process.wait(60) == 0
    _wait_for_end(trace, process.pid)
    return trace


def _wait_for_end(trace: Path, process: int) -> None:
    """Wait for the line about the end of the process, which strace writes after it."""
    end = re.compile(rf"^{process} +\+\+\+ ", re.MULTILINE)
    while end.search(trace.read_text("utf-8", "replace")) is None:
        os.sched_yield()


def judge(report: Report, trace: Path, data: Path) -> None:
    """Whether each answer came after the syncs that it rests on: a sentence for each that is missing."""
    known = set[str]()
    for exchange in sync_trace.exchanges(sync_trace.read(trace)):
        report.states += 1
        report.acknowledged += exchange.status < 300
        sentences = [sentence.replace(f"{data}/", "") for sentence in _judge(exchange, data, known)]
        report.lost += [f"{exchange.request}: {sentence}" for sentence in sentences]


def judge_collection(report: Report, trace: Path, data: Path) -> None:
    """Whether each file went after its row, and after the mark that tells of it."""
    calls = sync_trace.read(trace)
    begin = next(call for call in calls if call.name == "write" and call.strings[0].startswith(collector.BEGIN))
    run = Part(tuple(call for call in calls if call.start > begin.end), end=calls[-1].end)
    unlinks = [call for call in run.of(UNLINKS) if call.strings[0].startswith(f"{data}/blobs/")]
    report.states += len(unlinks)
    for unlink in unlinks:
        for path in (f"{data}/registry.db-wal", f"{data}/blobs/mark"):
            if not run.writes(path, until=unlink.start) or not run.keeps(path, until=unlink.start):
                file = unlink.strings[0].replace(f"{data}/", "")
                report.lost.append(f"{file} was unlinked before {Path(path).name} was written and synced")
    if not unlinks:
        report.lost.append("nothing was unlinked")


def _judge(exchange: Exchange, data: Path, known: set[str]) -> Iterator[str]:
    """``known``: the files in ``uploads/`` whose names were there before."""
    if exchange.status >= 300:
        yield f"refused with {exchange.status}"
        return
    wal = f"{data}/registry.db-wal"
    published = [call for call in exchange.of(RENAMES) if call.strings[1].startswith(f"{data}/blobs/")]
    for rename in published:
        yield from _judge_publishing(exchange, rename, wal)
    if "digest=" in exchange.request and not published:
        yield "nothing was renamed into blobs/ before the answer"
    yield from _judge_uploads(exchange, data / "uploads", known)
    if not exchange.request.startswith(_READS) and not exchange.writes(wal):
        yield "nothing was committed before the answer"
    if not exchange.keeps(wal):
        yield "the commit was not synced before the answer"


def _judge_publishing(exchange: Exchange, rename: Call, wal: str) -> Iterator[str]:
    source, target = rename.strings
    folder = str(Path(target).parent)
    if not exchange.keeps(source, until=rename.start):
        yield f"{source} was renamed to {target} before its bytes were synced"
    named = exchange.synced(folder, since=rename.end)
    if named is None:
        yield f"{source} was renamed to {target}, and {folder} was not synced before the answer"
    if exchange.writes(wal, until=rename.end if named is None else named):
        yield f"the row of {target} was written before the file had its name for good"


def _judge_uploads(exchange: Exchange, uploads: Path, known: set[str]) -> Iterator[str]:
    """A file that stays in ``uploads/`` holds bytes that are acknowledged: they and its name have to be durable."""
    written = [call for call in exchange.of(WRITES) if Path(call.path).parent == uploads and call.name != "ftruncate"]
    if exchange.request.startswith("PATCH") and not written:
        yield f"nothing was written to {uploads} before the answer"
    leaving = {call.strings[0] for call in exchange.of(RENAMES | UNLINKS)}
    for call in exchange.of(OPENS):
        path = call.strings[0]
        if "O_CREAT" not in call.arguments or Path(path).parent != uploads or path in leaving:
            continue
        if not exchange.keeps(path):
            yield f"the bytes of {path} were not synced before the answer"
        if path not in known and exchange.synced(str(uploads), since=call.end) is None:
            yield f"{path} is new, and {uploads} was not synced before the answer"
        known.add(path)
