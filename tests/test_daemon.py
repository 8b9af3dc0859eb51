"""The life of the daemon as its users see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tools.daemon import Daemon


def test_it_starts_answers_and_stops(daemon: Daemon) -> None:
    assert daemon.request("GET", "/v2/")[0] == 200
    assert daemon.stop() == 0
