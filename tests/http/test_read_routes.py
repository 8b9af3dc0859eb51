"""What a read worker answers is a part of what there is, with the same actions."""

from __future__ import annotations

from registry.http.read_routes import READ_ROUTES
from registry.http.routes import LANE_ROUTES


def test_a_worker_only_reads_and_asks_for_the_same_rights() -> None:
    assert set(READ_ROUTES) < set(LANE_ROUTES)
    for name, route in READ_ROUTES.items():
        whole = LANE_ROUTES[name]
        assert route.path == whole.path
        assert set(route.methods) == set(whole.methods) & {"GET", "HEAD"}
        assert all(route.methods[method].action is whole.methods[method].action for method in route.methods)
