"""Waiting for what another process does to a folder: nothing tells of it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_SECONDS = 120
"""What takes longer will never come."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so after {LIMIT_SECONDS} seconds"
        os.sched_yield()
