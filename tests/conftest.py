"""Fixtures that most tests use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from registry.http.app import make_app
from registry.service.policy import Policy
from registry.service.registry import Registry, open_registry
from tests.tools import daemon as daemon_tool
from tests.tools.asgi import Client
from tests.tools.life import Life

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


# No timing decides whether a test passes; in CI the examples are the same in every run.
settings.register_profile("all", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("all"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "all")


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """Logs go nowhere, unless a test captures them."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


@pytest.fixture
def policy() -> Policy:
    """What the registry allows; a test module overrides it."""
    return Policy()


@pytest.fixture
async def registry(tmp_path: Path, policy: Policy) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "data", policy) as registry:
        yield registry


@pytest.fixture
async def client(registry: Registry) -> Client:
    """Requests to the application in process."""
    return Client(make_app(registry))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[daemon_tool.Daemon]:
    """The daemon as a process of its own."""
    with daemon_tool.running(tmp_path / "data") as running:
        yield running


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """A data folder whose clock the test turns."""
    return Life(tmp_path / "data")
