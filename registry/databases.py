"""The commands that look after the database file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from registry.commands import EXIT_FAILED, config_option, connected, data_option
from registry.display import json_option, say_json, visible

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def db() -> None:
    """The database: whether it is sound, and how large."""


@db.command("check")
@config_option
@data_option
def check(file: Path | None, data: str | None) -> None:
    """Let SQLite check its file, and compare the schema, while the registry serves; fsck does more.

    Exit status: 0 all is well, 1 something was found.
    """
    with connected(file, data) as client:
        findings = client.operate("POST", "fsck", stage="database")["findings"]
    for finding in findings:
        click.echo(visible(f"{finding['subject']} {finding['message']}"))
    if not findings:
        click.echo("the database is sound")
    sys.exit(EXIT_FAILED if findings else 0)


@db.command("size")
@config_option
@data_option
@json_option
def size(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """Say how large the database is, how much of it is unused, and how many rows it has."""
    with connected(file, data) as client:
        found = client.operate("GET", "database")
    if as_json:
        say_json(found)
        return
    _say_size(found)
    click.echo(f"manifests: {found['manifest_bytes']:,} bytes, stored in {found['stored_bytes']:,}")
    for table, rows in found["rows"].items():
        click.echo(f"rows of {table}: {rows:,}")


@db.command("vacuum")
@config_option
@data_option
@json_option
def vacuum(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """Give unused pages back to the file system, in small transactions, while the registry serves."""
    with connected(file, data) as client:
        found = client.operate("POST", "database")
    if as_json:
        say_json(found)
        return
    _say_size(found)


def _say_size(found: Any) -> None:
    click.echo(
        f"database: {found['bytes']:,} bytes, {found['unused_bytes']:,} of them unused"
        f" ({found['kept_bytes']:,} are kept for a disk that is full)"
    )
