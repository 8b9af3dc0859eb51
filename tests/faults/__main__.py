"""Run every kind of fault, in its short form or (``--full``) its long one; exit status 1 where anything was lost."""

from __future__ import annotations

import importlib
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

KINDS = (
    "kill",
    "kill_random",
    "kill_restore",
    "power_cut",
    "block_level",
    "sync_order",
    "injected_errors",
    "full_disk",
    "races",
    "soak",
    "bit_rot",
    "growth",
    "restore",
    "drills",
    "snapshots",
    "crowd",
)
"""Modules of this package; each has ``run(folder, *, full) -> Report``."""


@click.command()
@click.option("--full", is_flag=True, help="The long form, whose figures README shows.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this kind; may be repeated.")
def main(kinds: tuple[str, ...], *, full: bool) -> None:
    """Show that what is acknowledged survives."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # mounts and devices are given back
    lost = False
    for kind in kinds or KINDS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"cargohold-{kind}-") as folder:
            report = importlib.import_module(f"tests.faults.{kind}").run(Path(folder), full=full)
        click.echo(f"{report.line()} [{time.monotonic() - started:.0f} s]")
        for sentence in report.lost[:20]:
            click.echo(f"    {sentence}")
        lost = lost or bool(report.lost)
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
