"""The command line: what it runs, prints and writes, and with which status it exits."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

import conformance
from conformance import lifecycle
from conformance.__main__ import main
from conformance.cases import GROUPS
from conformance.plan import Choice
from tests.conformance.broken import Fault, broken
from tests.conformance.faults import FAULTS
from tests.conformance.rules import always, early

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

_CASES = Choice().select(has_daemon=True)
_RUN_GROUPS = [group for group in GROUPS if group != "read-only"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The kit in full against the daemon that it boots, and the folder of its reports."""
    folder = tmp_path_factory.mktemp("reports")
    return _run("--report", str(folder)), folder


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A daemon that is there already."""
    with lifecycle.running() as daemon:
        yield daemon.url.removeprefix("http://")


def test_the_daemon_passes_every_case(whole_run: tuple[Result, Path]) -> None:
    result, _ = whole_run
    assert result.exit_code == 0, result.output
    assert re.search(rf"all cases +{len(_CASES)} +0 +0 +0 ", result.output)
    assert all(re.search(rf"^{group} +\.+$", result.output, re.MULTILINE) for group in _RUN_GROUPS)


def test_junit_has_every_case(whole_run: tuple[Result, Path]) -> None:
    suites = ET.parse(whole_run[1] / "junit.xml").getroot()
    assert [suite.get("name") for suite in suites] == _RUN_GROUPS
    assert {case.get("name") for case in suites.iter("testcase")} == {case.id for case in _CASES}
    assert (suites.get("tests"), suites.get("failures"), suites.get("skipped")) == (str(len(_CASES)), "0", "0")


def test_the_page_is_well_formed(whole_run: tuple[Result, Path]) -> None:
    class Parser(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    text = (whole_run[1] / "report.html").read_text("utf-8")
    parser = Parser()
    parser.feed(text)
    assert parser.open == []
    assert text.count("<details ") == len(_CASES)


def test_the_results_are_those_that_the_repository_holds(whole_run: tuple[Result, Path]) -> None:
    text = (whole_run[1] / "RESULTS.md").read_text("utf-8")
    assert text == (Path(conformance.__file__).parent / "RESULTS.md").read_text("utf-8"), "renew it as README.md tells"
    assert all(f"| {group} | " in text for group in _RUN_GROUPS)
    assert f"| **all** | {len(_CASES)} | 0 | 0 | 0 |" in text


def test_a_failure_exits_with_1_and_says_what_to_look_at(host: str, tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "a session has no Location")
    with broken(host, fault) as url:
        result = _run("--url", url, "--case", "open-session", "--case", "version-check", "--report", str(tmp_path))
    assert result.exit_code == 1
    assert "FAILED push: open-session (MUST, end-4a" in result.output
    assert "expected a Location header; got none" in result.output
    assert "POST http://" in result.output
    assert "spec.md#post-then-put" in result.output
    assert f"--url {url} --case open-session --trace" in result.output
    assert ET.parse(tmp_path / "junit.xml").find(".//testcase[@name='open-session']/failure") is not None
    assert not (tmp_path / "OFFICIAL.md").exists()
    assert "failed: `open-session`" in (tmp_path / "RESULTS.md").read_text("utf-8")


def test_a_registry_that_is_not_there_fails(tmp_path: Path) -> None:
    result = _run("--url", "http://127.0.0.1:1", "--case", "version-check")
    assert result.exit_code == 1
    assert "ConnectionRefusedError" in result.output


def test_a_skipped_case_is_no_failure(host: str) -> None:
    switched_off = Fault("deleting is switched off", "", early("DELETE", "blob", always(405)))
    with broken(host, switched_off) as url:
        result = _run("--url", url, "--case", "delete-blob")
    assert result.exit_code == 0
    assert "skipped management: delete-blob: DELETE is answered with 405" in result.output


@pytest.mark.parametrize(
    ("arguments", "groups"),
    [
        (["--quick"], {"pull", "push"}),
        (["--group", "tags", "--group", "mount"], {"tags", "mount"}),
        (["--case", "tag-moves"], {"push"}),
        ([], set(_RUN_GROUPS)),
    ],
)
def test_the_cases_that_are_asked_for(arguments: list[str], groups: set[str]) -> None:
    result = _run("--list", *arguments)
    assert {line.split()[0] for line in result.output.splitlines()} == groups


def test_a_restart_needs_the_booted_daemon() -> None:
    assert "restart-" in _run("--list").output
    assert "restart-" not in _run("--list", "--url", "http://127.0.0.1:1").output


def test_trace_prints_the_exchanges(host: str) -> None:
    result = _run("--url", f"http://{host}", "--case", "version-check", "--trace")
    assert f"GET http://{host}/v2/\n\n200 OK\n" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--case", "unknown"],
        ["--group", "unknown"],
        ["--read-only"],
        ["--group", "read-only"],
        ["--quick", "--group", "tags"],
    ],
)
def test_a_wrong_option_exits_with_2(arguments: list[str]) -> None:
    assert _run(*arguments).exit_code == 2
