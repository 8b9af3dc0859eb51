"""The lines of requests are written once a pass of the event loop, before it waits for anything.

A system call for each line was a sixth of what it costs to answer what is asked for most.
"""

from __future__ import annotations

import trio

from registry.request_log import lines


class Gathering(trio.abc.Instrument):
    """Of the event loop that it is an instrument of."""

    def before_run(self) -> None:
        lines.gather()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        lines.write()

    def after_run(self) -> None:
        lines.end()
