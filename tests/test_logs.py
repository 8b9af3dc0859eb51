"""What the log looks like."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from registry import logs
from registry.config import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


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
