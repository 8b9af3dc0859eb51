from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import soak
from tests.faults.soak import Soak
from tests.tools.daemon import running

if TYPE_CHECKING:
    from pathlib import Path


def test_some_hundred_events_lose_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data", soak.SETTINGS) as daemon:
        clients = Soak(daemon)
        clients.run(lambda: clients.events < 500)
    report = clients.report()
    assert report.lost == []
    assert report.acknowledged > 20
    assert report.states > 0


def test_a_daemon_that_forgets_too_soon_is_found(tmp_path: Path) -> None:
    """Its leases are a thousandth of what the clients count on."""
    names = ("CARGOHOLD_GC__GRACE", "CARGOHOLD_GC__LEASE_SECONDS", "CARGOHOLD_GC__UNTAGGED_AFTER")
    settings = {**soak.SETTINGS, **dict.fromkeys(names, "0.001"), "CARGOHOLD_GC__INTERVAL": "0.001s"}
    with running(tmp_path / "data", settings) as daemon:
        clients = Soak(daemon)
        clients.run(lambda: clients.events < 100_000)
    assert any("push_" in sentence and "404" in sentence for sentence in clients.failures), clients.failures
