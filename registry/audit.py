"""The command that shows the audit: who changed what, and which logins failed."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.commands import EXIT_FAILED, config_option, connected, data_option, fail, load
from registry.display import local, moment, say_json, say_notes, visible, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.transfer.client import Client

_POLL_SECONDS = 1


@click.command()
@config_option
@data_option
@click.option("--since", "since_ms", metavar="WHEN", callback=moment, help="1h, 7d, 2026-11-01, 2026-11-01T12:00.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each entry.")
def audit(file: Path | None, data: str | None, since_ms: int | None, *, follow: bool, as_json: bool) -> None:
    """Show who changed what, and which logins failed: one line for each entry, the oldest first.

    Time, principal, address, action, repository, what was changed, and from what to what.
    """
    is_served = follow and _is_served(file, data)
    with (
        suppress(KeyboardInterrupt) if follow else nullcontext(),
        connected(file, data) as client,
        _until_nobody_reads(),
    ):
        after_id = _show(client, since_ms or 0, 0, as_json=as_json)
        while is_served:
            time.sleep(_POLL_SECONDS)
            try:
                after_id = _show(client, since_ms or 0, after_id, as_json=as_json)
            except (ConnectionResetError, ConnectionRefusedError, FileNotFoundError):
                fail("the daemon has stopped", EXIT_FAILED)
    if follow and not is_served:
        say_notes(["no daemon runs, so that nothing follows"])


def _is_served(file: Path | None, data: str | None) -> bool:
    from registry import admin  # noqa: PLC0415

    settings, _ = load(file, data, ())
    return admin.is_answered(Path(settings.data))


def _show(client: Client, since_ms: int, after_id: int, *, as_json: bool) -> int:
    """Print what there is after an entry, page by page; after which one to go on."""
    while True:
        page = client.operate("GET", "audit", since=str(since_ms), after=str(after_id))
        for entry in page["entries"]:
            if as_json:
                say_json(entry)
            else:
                click.echo(_line(entry))
        after_id = page["next_after_id"]
        if not page["has_more"]:
            return after_id


def _line(entry: Any) -> str:
    names = [entry["principal"], entry["repository"], entry["subject"]]
    principal, repository, subject = (word(name) if name else "-" for name in names)
    parts = [local(entry["at_ms"]), principal, visible(entry["address"]) or "-", entry["action"], repository, subject]
    before, after = entry["before"], entry["after"]
    if before is not None or after is not None:
        parts.append(f"{visible(before or '-')} -> {visible(after or '-')}")
    return "  ".join(parts)


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    """The end of ``cargohold audit | head`` is no failure."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
