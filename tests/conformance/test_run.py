"""Running cases, and the daemon that is booted for it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from conformance import lifecycle
from conformance.case import MUST, Case, Failed, Skipped
from conformance.cases import ALL, GROUPS
from conformance.outcome import Report, Status, readable_body
from conformance.report import html, junit, markdown
from conformance.run import Connection, run_case
from conformance.target import Shared
from tests.conformance.processes import processes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.outcome import Outcome
    from conformance.target import Target


def _outcome(run: Callable[[Target], None]) -> Outcome:
    case = Case("some-case", "some-group", "Pulling blobs", "end-2", MUST, "A title", run)
    return run_case(case, Connection("http://127.0.0.1:1"), Shared("prefix"))


def _raise(error: Exception) -> Callable[[Target], None]:
    def run(_: Target) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Failed("this", "that"), Status.FAILED, "expected this; got that"),
        (Skipped("no such feature"), Status.SKIPPED, "no such feature"),
        (KeyError("fault"), Status.ERROR, "KeyError: 'fault'"),
    ],
)
def test_what_a_case_raises_is_its_outcome(error: Exception, status: Status, reason: str) -> None:
    outcome = _outcome(_raise(error))
    assert outcome.status is status
    assert reason in outcome.reason


def test_no_connection_is_a_failure() -> None:
    outcome = _outcome(lambda target: target.no_blob("sha256:0"))
    assert outcome.status is Status.FAILED
    assert [exchange.answer for exchange in outcome.exchanges] == [None]


def test_reports_hold_any_text() -> None:
    outcome = _outcome(_raise(Failed("text", "\x00\ud800 <&> ]]> | \n `x`")))
    report = Report("http://<host>", ("a=<b>",), (outcome,))
    ET.fromstring(junit.render(report).encode("utf-8", "strict"))
    assert "<host>" not in html.render(report)
    assert "\\|" in markdown.render(report)
    for text in (html.render(report), markdown.render(report)):
        text.encode("utf-8", "strict")


def test_bodies_are_readable() -> None:
    assert readable_body(b"a\tb\n\x1b") == "a\tb\n\N{REPLACEMENT CHARACTER}"
    assert readable_body(b"\xff\xfe") == "(2 bytes that are no text)"


def test_every_case_says_what_it_asks_for() -> None:
    assert len({case.id for case in ALL}) == len(ALL)
    spec_ends = {f"end-{number}" for number in (1, 2, 3, 5, 6, 9, 10, 11, 13, 14)}
    spec_ends |= {"end-4a", "end-4b", "end-4c", "end-7a", "end-7b", "end-8a", "end-8b", "end-12a", "end-12b"}
    assert {case.endpoint for case in ALL} == spec_ends | {""}
    for case in ALL:
        assert case.group in GROUPS
        assert case.title.endswith(".")
        assert case.section


def test_the_daemon_is_gone_afterwards() -> None:
    folders: list[Path] = []

    def run() -> None:
        with lifecycle.running() as daemon:
            folders.append(daemon.log.parent)
            daemon.restart()
            assert processes_of(folders[0])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        run()
    assert not folders[0].exists()
    assert processes_of(folders[0]) == []


def test_a_daemon_that_does_not_start_says_why() -> None:
    settings = {"CARGOHOLD_HTTP__DRAIN_SECONDS": "never"}
    with pytest.raises(lifecycle.DaemonFailed, match=r"http\.drain_seconds"), lifecycle.running(settings):
        raise AssertionError


def test_what_the_daemon_calls_a_fault_is_found(tmp_path: Path) -> None:
    daemon = lifecycle.Daemon(tmp_path, {})
    daemon.log.write_text('{"level": "info", "event": "request"}\n{"event": "fault", "level": "error"}\n')
    assert daemon.faults() == ['{"event": "fault", "level": "error"}']
    assert Report("a registry", (), (), faults=tuple(daemon.faults())).has_failed
