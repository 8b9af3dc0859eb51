"""The commands with which an operator looks after the registry. They reach it as ``import`` does."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from registry.commands import EXIT_COULD_NOT_RUN, EXIT_FAILED, config_option, connected, data_option
from registry.display import json_option, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registry.transfer.client import Client


@click.group()
def gc() -> None:
    """Garbage collection: what runs by itself, and how to see it."""


@gc.command("status")
@config_option
@data_option
@json_option
def gc_status(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """Say what there is, what is on its way out, and since when snapshots can be restored in full."""
    with connected(file, data) as client:
        status = client.operate("GET", "gc")
    if as_json:
        say_json(status)
        return
    for line in _describe(status):
        click.echo(line)


@gc.command("run")
@config_option
@data_option
@click.option("--now", is_flag=True, help="Leave out the grace (gc.grace). Leases and open uploads are kept.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what a run would do.")
@json_option
def gc_run(file: Path | None, data: str | None, *, now: bool, dry_run: bool, as_json: bool) -> None:
    """Collect garbage, while clients push and pull."""
    options = {name: "" for name, chosen in (("now", now), ("dry-run", dry_run)) if chosen}
    with connected(file, data) as client:
        totals = client.operate("POST", "gc", **options)
        status = client.operate("GET", "gc")
    if as_json:
        say_json(totals)
        return
    verb = "would be " if dry_run else ""
    click.echo(f"untagged manifests {verb}collected: {totals['manifests']:,}; orphaned tags: {totals['tags']:,}")
    click.echo(f"links of blobs to repositories {verb}collected: {totals['links']:,}")
    click.echo(f"blobs {verb}condemned: {totals['condemned_blobs']:,}, {totals['condemned_bytes']:,} bytes")
    click.echo(f"blobs {verb}removed: {totals['removed_blobs']:,}, {totals['removed_bytes']:,} bytes")
    click.echo(f"files without a row {verb}removed: {totals['orphans']:,}")
    leased = status["inventory"]["leased_links"]
    if leased:
        click.echo(f"kept for clients that may be about to use them (gc.lease_seconds): {leased:,} links")


@gc.command()
@config_option
@data_option
@click.argument("digest")
def explain(file: Path | None, data: str | None, digest: str) -> None:
    """Say what holds a digest, or when it goes."""
    with connected(file, data) as client:
        sentences = client.operate("GET", f"gc/explain/{digest}")["sentences"]
    for sentence in sentences or ["The registry does not know this digest."]:
        click.echo(sentence)


@click.command()
@config_option
@data_option
@click.option("--full", is_flag=True, help="Read and hash all content too.")
@click.option("--after", metavar="STAGE:PLACE", default="", help="Go on where an earlier check stopped.")
@click.option(
    "--time-box",
    "limit",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Stop after so long; 0: after one step.",
)
@json_option
def fsck(file: Path | None, data: str | None, *, full: bool, after: str, limit: float | None, as_json: bool) -> None:
    """Compare the database with itself and with the files, while the registry serves. Nothing is changed.

    Exit status: 0 all is well, 1 something was found, 2 the check could not run.
    """
    found = _Found()
    try:
        _check(file, data, found, after, limit=limit, full=full)
    finally:  # also where it could not go on
        found.report(as_json=as_json)
    sys.exit(EXIT_FAILED if found.findings else 0)


def _check(file: Path | None, data: str | None, found: _Found, after: str, *, limit: float | None, full: bool) -> None:
    """Take step after step until the end, or until the time is over."""
    stage, _, place = after.partition(":")
    done = 0
    with connected(file, data, failed=EXIT_COULD_NOT_RUN) as client, _bar("checking") as bar:
        end = None if limit is None else time.monotonic() + limit
        parameters = {"full": ""} if full else {}
        while True:
            if limit and end is not None:
                parameters["limit"] = str(max(math.ceil(end - time.monotonic()), 1))
            step = client.operate("POST", "fsck", stage=stage, after=place, **parameters)
            found.has_begun = True
            found.findings += step["findings"]
            found.notes += step["notes"]
            done = done + step["done_bytes"] if place else step["done_bytes"]
            bar.advance(stage or "database", done, step["total_bytes"])
            stage, place = step["next_stage"] or "", step["next_after"]
            found.stopped_at = f"{stage}:{place}" if stage else None
            if not stage or (end is not None and time.monotonic() >= end):
                break


@dataclass
class _Found:
    """``stopped_at`` is where a check goes on that has not come to its end; None too before its beginning."""

    findings: list[Any] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    stopped_at: str | None = None
    has_begun: bool = False

    def report(self, *, as_json: bool) -> None:
        if not self.has_begun:
            return
        if as_json:
            parts = {"findings": self.findings, "notes": self.notes, "stopped_at": self.stopped_at}
            say_json(parts)
            return
        for finding in self.findings:
            click.echo(f"{finding['subject']} {finding['message']}")
        for note in self.notes:
            click.echo(f"note: {note['subject']} {note['message']}")
        click.echo(f"{len(self.findings):,} findings" if self.findings else "all is well, as far as was looked")
        if self.stopped_at is not None:
            click.echo(f"it is not at its end; go on with --after {self.stopped_at}")


@click.command()
@config_option
@data_option
def scrub(file: Path | None, data: str | None) -> None:
    """Read and hash every blob now; what is bad is marked, and healed by the next push.

    Exit status: 0 all is well, 1 something is bad.
    """
    bad: list[str] = []
    with connected(file, data) as client, _bar("scrubbing") as bar:
        done = 0
        for step in _scrub_steps(client):
            bad += step["bad"]
            done += step["verified_bytes"]
            bar.advance("blobs", done, done + step["left_bytes"])
    for digest in bad:
        click.echo(f"{digest} is damaged; push it again")
    if not bad:
        click.echo("all blobs are what their digests say")
    sys.exit(EXIT_FAILED if bad else 0)


def _scrub_steps(client: Client) -> Iterator[Any]:
    step = client.operate("POST", "scrub")
    yield step
    while step["left_blobs"]:
        step = client.operate("POST", "scrub", before=str(step["before_ms"]))
        yield step


@click.command()
@config_option
@data_option
def recover(file: Path | None, data: str | None) -> None:
    """After the database was restored: say what is lost, and let garbage collection go on."""
    with connected(file, data) as client:
        losses = client.operate("POST", "restoration")
    for digest, damage in losses["blobs"]:
        click.echo(f"{digest} is {damage}; push it again")
    for tag in losses["tags"]:
        click.echo(f"{tag['repository']}:{tag['tag']} is broken: it needs something of that")
    if losses["was_restored"]:
        click.echo("garbage collection goes on; files that the database does not know go after gc.horizon")
    else:
        click.echo("the database and the files belong together; there was nothing to end")


def _describe(status: dict[str, Any]) -> Iterator[str]:
    """The state of garbage collection, line by line."""
    inventory, garbage, disk, backup = (status[name] for name in ("inventory", "garbage", "disk", "backup"))
    live = inventory["blobs"] - inventory["condemned_blobs"]
    yield f"blobs: {live:,}, {inventory['blob_bytes'] - inventory['condemned_bytes']:,} bytes"
    links, leased = inventory["unreferenced_links"], inventory["leased_links"]
    yield f"links to repositories in which no manifest refers to the blob: {links:,}, leased: {leased:,}"
    yield f"condemned: {inventory['condemned_blobs']:,}, {inventory['condemned_bytes']:,} bytes"
    if garbage["next_removal_seconds"] is not None:
        yield f"the next one is removed in {garbage['next_removal_seconds'] / 3600:.1f} h"
    yield f"files without a row: {inventory['orphans']:,}; open uploads: {inventory['uploads']:,}"
    yield f"damaged: {inventory['damaged_blobs']:,} blobs, {inventory['damaged_manifests']:,} manifests"
    yield f"disk: {disk['free_bytes'] or 0:,} bytes free, uploads leave {disk['reserve_bytes']:,} (storage.reserve)"
    if garbage["last_run_age_seconds"] is None:
        yield "no run since the daemon started"
    else:
        yield f"last run: {garbage['last_run_age_seconds']:.0f} s ago, took {garbage['last_run_seconds']:.2f} s"
    if garbage["last_failure"]:
        yield f"the last run failed: {garbage['last_failure']}"
    since_ms = backup["restores_in_full_since_ms"]
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat(timespec="seconds")
    yield f"snapshots restore in full if made since {since}" if since_ms else "all snapshots restore in full"
    if status["is_restored"]:
        yield "paused: the database was restored; see cargohold recover"


class _Bar:
    """How far something has come, on a terminal."""

    def __init__(self, label: str) -> None:
        self._label = label

    def advance(self, stage: str, done: int, total: int) -> None:
        """Write over the line."""
        share = f" {min(done * 100 // total, 100)} %" if total else ""
        click.echo(f"\r{self._label}: {stage}{share}\x1b[K", nl=False, err=True)


class _NoBar(_Bar):
    def advance(self, stage: str, done: int, total: int) -> None:
        """Nobody looks."""


@contextmanager
def _bar(label: str) -> Iterator[_Bar]:
    if not sys.stderr.isatty():
        yield _NoBar(label)
        return
    try:
        yield _Bar(label)
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)
