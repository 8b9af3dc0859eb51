"""What commands print: tables, moments, and text of strangers."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from registry import quantities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

_PLAIN = re.compile(r"[^\s'\"\\]+")


def visible(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def word(text: str) -> str:
    """Likewise as one word: in quotes where it could be taken for more, or for less."""
    return text if _PLAIN.fullmatch(text) and text.isprintable() else repr(text)


def local(at_ms: int | None, nothing: str = "-") -> str:
    """The moment in local time (ISO 8601)."""
    if at_ms is None:
        return nothing
    return datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(timespec="seconds")


def moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Milliseconds since the epoch, of an option; None where it is not given. Raises BadParameter."""
    if text is None:
        return None
    with suppress(ValueError, OverflowError):
        return max(0, int(datetime.fromisoformat(text).timestamp() * 1000))
    if quantities.is_quantity(text, quantities.Duration):
        return max(0, int((time.time() - quantities.seconds(text)) * 1000))
    raise click.BadParameter(
        f"{text!r}: expected a duration as 1h or 7d, or a moment as 2026-11-01 or 2026-11-01T12:00"
    )


def say_json(document: Any) -> None:
    """In one line of ASCII without control characters."""
    click.echo(json.dumps(document).replace("\x7f", "\\u007f"))


def say_table(rows: Sequence[Iterable[str]]) -> None:
    """Columns that stand below each other; the first row is their names."""
    cells = [[visible(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say_notes(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"note: {visible(note)}", err=True)


@contextmanager
def progress_bar(label: str, size: int) -> Iterator[Callable[[int], None]]:
    """How far something has come, for somebody at a terminal; its value is told how much has come each time."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
        yield bar.update
