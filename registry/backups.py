"""The commands for backups: files that outlive the data folder."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.commands import (
    EXIT_COULD_NOT_RUN,
    EXIT_FAILED,
    config_option,
    connected,
    data_option,
    fail,
    failures_in_one_line,
    load,
)
from registry.display import json_option, local, say_json, say_notes, say_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.extraction import Extracted
    from registry.recovery import Restored
    from registry.store.backups import Summary
    from registry.store.pairs import Saved
    from registry.transfer.client import Client
    from registry.vault import Entry

_LINKED = (
    "a blob that is a hard link is the same file as the registry's: if that one rots or is overwritten, or its disk is "
    "lost, so is this one. A folder on another disk gets copies."
)

_HELP_OF_BLOBS = "The folder with the blobs of the backups."

_new_blobs_option = click.option(
    "--with-blobs", "blobs", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), help=_HELP_OF_BLOBS
)
_blobs_option = click.option(
    "--with-blobs",
    "blobs",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help=_HELP_OF_BLOBS,
)
_file_argument = click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_folder_argument = click.argument("path", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
_dry_run_option = click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")


@click.group()
def backup() -> None:
    """Backups: snapshots of the database, and the blobs that they need."""


@backup.command()
@config_option
@data_option
@_new_blobs_option
@click.option("--force", is_flag=True, help="Replace FILE where it is there.")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def create(file: Path | None, data: str | None, path: Path, blobs: Path | None, *, force: bool) -> None:
    """Write a verified snapshot as of now to FILE, compressed where that ends in .zst.

    FILE may be a folder: the snapshot is then named by its time. DIR gets the blobs that it lacks, by hard links where
    it is on the file system of the registry, else by copies that are verified.

    Exit status: 0 all is there, 1 blobs are missing, 2 there is no backup.
    """
    folder = Path(load(file, data, ())[0].data)
    for each in (path, *([] if blobs is None else [blobs])):
        if each.resolve().is_relative_to(folder.resolve()):
            fail(f"{each} is in the data folder, and would be lost with it", EXIT_COULD_NOT_RUN)
    with connected(file, data, failed=EXIT_COULD_NOT_RUN) as client:
        from registry import vault  # noqa: PLC0415 (on use)

        failure = client.operate("POST", "backup")["failure"]
        if failure is not None:
            fail(f"the snapshot could not be taken: {failure}", EXIT_COULD_NOT_RUN)
        entry, saved = vault.create(folder, path, blobs, force=force)
    _say_created(entry, saved)
    sys.exit(EXIT_FAILED if saved and saved.missing else 0)


def _say_created(entry: Entry, saved: Saved | None) -> None:
    click.echo(f"{entry.path} holds the registry as of {local(entry.taken_ms)}, {entry.size:,} bytes")
    click.echo(_describe(entry.summary))
    if saved is None:
        return
    click.echo(
        f"blobs linked: {saved.linked:,}; copied: {saved.copied:,}, {saved.copied_bytes:,} bytes; "
        f"there already: {saved.present:,}"
    )
    _say_missing(saved.missing, "it is not in the backup")
    if saved.linked:
        say_notes([_LINKED])


def _describe(summary: Summary | None) -> str:
    if summary is None:
        return ""
    return (
        f"repositories: {summary.repositories:,}; manifests: {summary.manifests:,}; tags: {summary.tags:,}; "
        f"blobs: {summary.blobs:,}, {summary.blob_bytes:,} bytes"
    )


def _say_missing(missing: Sequence[tuple[str, str]], consequence: str) -> None:
    for digest, fault in missing:
        click.echo(f"{digest} {fault}; {consequence}")


@backup.command("list")
@json_option
@_folder_argument
def list_(path: Path, *, as_json: bool) -> None:
    """List the snapshots in a folder, the newest first."""
    from registry import vault  # noqa: PLC0415 (on use)

    with failures_in_one_line(EXIT_COULD_NOT_RUN):
        entries = vault.list_folder(path)
    if as_json:
        say_json([{**asdict(entry), "path": str(entry.path), "taken_ms": entry.taken_ms} for entry in entries])
        return
    say_table([["TIME", "SIZE", "MANIFESTS", "TAGS", "BLOBS", "START", "FILE"], *map(_row, entries)])
    say_notes(entry.fault for entry in entries if entry.fault is not None)


def _row(entry: Entry) -> list[str]:
    summary = entry.summary
    counts = ["-"] * 4
    if summary is not None:
        counts = [f"{summary.manifests:,}", f"{summary.tags:,}", f"{summary.blobs:,}", (summary.start_id or "")[:12]]
    return [local(entry.taken_ms), f"{entry.size:,}", *counts, entry.path.name]


@backup.command()
@_blobs_option
@click.option("--full", is_flag=True, help="Read and hash the blobs too.")
@_file_argument
def verify(path: Path, blobs: Path | None, *, full: bool) -> None:
    """Check a snapshot, and that the blobs are there which it needs.

    Exit status: 0 all is well, 1 something was found, 2 the check could not run.
    """
    from registry import vault  # noqa: PLC0415 (on use)

    if full and blobs is None:
        raise click.UsageError("--full reads the blobs: say where they are by --with-blobs DIR")
    with failures_in_one_line(EXIT_COULD_NOT_RUN):
        summary, found = vault.verify(path, blobs, full=full)
    for subject, fault in found:
        click.echo(f"{subject} {fault}")
    click.echo(_describe(summary) if summary else "it can't be restored")
    click.echo(f"{len(found):,} findings" if found else "all is well, as far as was looked")
    sys.exit(EXIT_FAILED if found else 0)


@backup.command()
@_blobs_option
@_dry_run_option
@click.option("--keep", required=True, metavar="N", type=click.IntRange(min=1), help="How many snapshots to keep.")
@_folder_argument
def prune(path: Path, blobs: Path | None, keep: int, *, dry_run: bool) -> None:
    """Remove all but the newest N snapshots of a folder, and the blobs that none of these needs.

    No other folder's snapshots may need these blobs.
    """
    from registry import vault  # noqa: PLC0415 (on use)

    with failures_in_one_line(EXIT_COULD_NOT_RUN):
        pruned = vault.prune(path, blobs, keep=keep, dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    for entry in pruned.snapshots:
        click.echo(f"{entry.path} of {local(entry.taken_ms)} {verb}")
    click.echo(f"snapshots {verb}: {len(pruned.snapshots):,}; kept: {pruned.kept:,}")
    if blobs is not None:
        click.echo(f"blobs {verb}: {pruned.blobs:,}, {pruned.blob_bytes:,} bytes")


@click.command()
@config_option
@data_option
@_blobs_option
@_dry_run_option
@click.option("--repository", metavar="NAME", help="Only this one, into the registry as it is, running or not.")
@click.option("--move-tags", is_flag=True, help="With --repository: also move tags that lead elsewhere by now.")
@_file_argument
def restore(
    file: Path | None,
    data: str | None,
    path: Path,
    blobs: Path | None,
    repository: str | None,
    *,
    move_tags: bool,
    dry_run: bool,
) -> None:
    """Put a backup into the data folder, in which no daemon may run.

    The database that is there stays beside it; blobs that are missing come from DIR, verified. At its next start the
    daemon looks at every blob, and sweeps nothing until cargohold recover.

    Exit status: 0 all is there, 1 restored, but blobs are missing, 2 nothing was done.
    """
    settings, _ = load(file, data, ())
    if repository is not None:
        if dry_run:
            raise click.UsageError("--repository only adds to what is there; it has no --dry-run")
        with connected(file, data, failed=EXIT_COULD_NOT_RUN) as client:
            extracted = _extract(client, Path(settings.data), path, blobs, repository, move_tags=move_tags)
        _say_extracted(extracted)
        sys.exit(EXIT_FAILED if extracted.missing else 0)

    from registry import recovery  # noqa: PLC0415 (on use)

    with failures_in_one_line(EXIT_COULD_NOT_RUN):
        done = recovery.restore(
            Path(settings.data), path, blobs, allow_network=settings.storage.allow_network, dry_run=dry_run
        )
    _say_restored(done, dry_run=dry_run)
    sys.exit(EXIT_FAILED if done.missing else 0)


def _say_restored(done: Restored, *, dry_run: bool) -> None:
    click.echo(_describe(done.summary))
    verb = "would be copied" if dry_run else "copied"
    click.echo(
        f"blobs there: {done.present:,}; {verb}: {done.copied:,}, {done.copied_bytes:,} bytes; "
        f"missing: {len(done.missing):,}"
    )
    _say_missing(done.missing, "push it again after the restoration")
    for aside in done.aside:
        click.echo(f"what was there before is kept as {aside}")
    if dry_run:
        click.echo("nothing was changed")
    else:
        click.echo("restored; start the daemon, and end the restoration by cargohold recover")


def _extract(
    client: Client, data: Path, path: Path, blobs: Path | None, repository: str, *, move_tags: bool
) -> Extracted:
    from registry.extraction import Extraction  # noqa: PLC0415 (on use)
    from registry.oci.names import RepositoryName  # noqa: PLC0415
    from registry.store import backups  # noqa: PLC0415
    from registry.store.copies import Copies  # noqa: PLC0415

    folders = [Copies(each) for each in (blobs, data / "blobs") if each is not None]
    with backups.plain(path) as plain, backups.opened(plain) as tx:
        return Extraction(client, tx, RepositoryName.parse(repository), folders).run(move_tags=move_tags)


def _say_extracted(done: Extracted) -> None:
    click.echo(f"manifests that came back: {done.manifests:,}; blobs: {done.blobs:,}; tags: {done.tags:,}")
    for tag in done.tags_kept:
        click.echo(f"the tag {tag} leads elsewhere by now and stays; --move-tags moves it")
    _say_missing(done.missing, "it did not come back")
