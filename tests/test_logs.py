"""What the log looks like."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from registry import logs, request_log
from registry.config import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    request_log.requests.write = request_log.through_structlog


def written(form: str, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up(LogSettings(format=form))  # type: ignore[arg-type]
    log = structlog.get_logger()
    log.debug("too detailed")
    secret = "Basic c2VjcmV0"
    try:
        int(f"{len(secret)} words")
    except ValueError:
        log.exception("fault", reference="\x1b]0;pwned\x07x")
    return stream.getvalue()


def test_json_is_one_line_per_event_without_local_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = written("json", monkeypatch).splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["reference"]) == ("fault", "error", "\x1b]0;pwned\x07x")
    assert entry["exception"][0]["exc_type"] == "ValueError"
    assert "c2VjcmV0" not in line


@pytest.mark.parametrize("form", ["human", "auto"])
def test_for_people_nothing_moves_the_terminals_cursor(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(form, monkeypatch)
    assert "pwned" in text
    assert "\x07" not in text
    assert "\x1b]" not in text
    assert "c2VjcmV0" not in text
    first, *rest = text.splitlines()
    assert "fault" in first
    assert all(line.startswith("    ") for line in rest)


def test_logfmt_is_one_line_per_event(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = written("logfmt", monkeypatch).splitlines()
    assert line.isprintable()
    assert re.match(r"timestamp=\S+Z level=error event=fault ", line)
    assert r' reference="\u001b]0;pwned\u0007x" ' in line
    assert r'exception="Traceback (most recent call last):\n' in line
    assert "c2VjcmV0" not in line


@given(st.text())
def test_a_value_of_logfmt_comes_back_and_ends_no_line(text: str) -> None:
    line = logs._logfmt(None, "", {"event": "e", "value": text})
    assert line.isprintable()
    shown = line.removeprefix("event=e value=")
    assert (json.loads(shown) if shown.startswith('"') else shown) == text
    assert not set(shown) & set(" =") or shown.startswith('"')


def test_what_else_a_value_can_be() -> None:
    event = {"event": "e", "none": None, "is": True, "number": 1.5, "list": ["a", 2], "path": Path("/x y")}
    assert logs._logfmt(None, "", event) == 'event=e is=true number=1.5 list="[\\"a\\", 2]" path="/x y"'


HOSTILE = "a\r\n2026 info forged\x85\u2028\u202e\x1b[31m"


def fail() -> None:
    raise LookupError(HOSTILE)


@pytest.mark.parametrize("form", ["human", "json", "logfmt"])
def test_no_value_and_no_error_looks_like_an_entry(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up(LogSettings(format=form))  # type: ignore[arg-type]
    try:
        fail()
    except LookupError:
        structlog.get_logger().exception("fault", path=HOSTILE, many=[HOSTILE])
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines[1:] if not line.startswith("    ")]


TIME = {
    "json": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(?=Z\"}\n\Z)"),
    "logfmt": re.compile(r"(?<=\Atimestamp=)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(?=Z )"),
}
"""Where it stands in a line."""

VALUES = st.tuples(
    st.text(),
    st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
    st.integers(0, 999),
    st.integers(0, 1 << 63),
    st.floats(0, 1e9).map(lambda seconds: round(seconds, 6)),
    st.text(),
    st.text(),
)


@pytest.mark.parametrize("form", ["json", "logfmt"])
@given(values=VALUES, level=st.sampled_from(["debug", "info"]), lowest=st.sampled_from(["debug", "info", "warning"]))
@example(values=("GET", HOSTILE, None, "\ud800", '"\\=', 200, 0, 1e-06, "\x00", "é b"), level="info", lowest="info")
def test_the_short_way_of_a_request_leads_to_the_same_bytes(
    form: str, values: request_log.Values, level: str, lowest: str
) -> None:
    short, long = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_log, "log", structlog.get_logger())
        for stream in (short, long):
            patch.setattr(sys, "stderr", stream)
            logs.set_up(LogSettings(format=form, level=lowest))  # type: ignore[arg-type]
            write = request_log.requests.write if stream is short else request_log.through_structlog
            write(level, values)
    assert bool(short.getvalue()) == (lowest in {level, "debug"})
    assert TIME[form].sub("", short.getvalue()) == TIME[form].sub("", long.getvalue())
