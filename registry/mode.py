"""The command that makes the registry read-only and read-write again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.commands import config_option, connected, data_option
from registry.display import json_option, say_json, say_notes, visible

if TYPE_CHECKING:
    from pathlib import Path

_READ_ONLY, _READ_WRITE = "read-only", "read-write"


@click.command()
@config_option
@data_option
@json_option
@click.option("--reason", metavar="TEXT", help="What clients are told; read-only needs it.")
@click.argument(
    "wanted", metavar="[read-only|read-write]", type=click.Choice([_READ_ONLY, _READ_WRITE]), required=False
)
def mode(file: Path | None, data: str | None, reason: str | None, wanted: str | None, *, as_json: bool) -> None:
    """Answer pulls and discovery only, or everything again; without an argument, say which.

    It counts at once, and until it is switched again, over restarts. Requests that have begun come to their end.
    """
    if (reason is not None) != (wanted == _READ_ONLY):
        raise click.UsageError("read-only needs --reason TEXT" if reason is None else "--reason is for read-only")
    with connected(file, data) as client:
        if reason is not None:
            found = client.submit("PUT", "mode", reason=reason)
        else:
            found = client.operate("GET" if wanted is None else "DELETE", "mode")
    if as_json:
        say_json(found)
        return
    click.echo(_READ_WRITE if found["reason"] is None else f"{_READ_ONLY}: {visible(found['reason'])}")
    if found["by_settings"]:
        say_notes(["access.read_only is set, so the registry is read-only whatever is switched here"])
