"""The commands for repositories and their tags, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.commands import config_option, connected, data_option
from registry.display import json_option, local, moment, say_json, say_table, visible

if TYPE_CHECKING:
    from pathlib import Path

    from registry.transfer.client import Client

_HEAD = ["REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "LOGICAL", "UNIQUE", "EXCLUSIVE"]


@click.group()
def repo() -> None:
    """Repositories: which there are, and the end of one."""


@repo.command("list")
@config_option
@data_option
@json_option
def list_repositories(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """List the repositories."""
    with connected(file, data) as client:
        found = client.operate("GET", "repositories")["repositories"]
    if as_json:
        say_json([each["repository"] for each in found])
        return
    for each in found:
        click.echo(each["repository"])


@repo.command("delete")
@config_option
@data_option
@json_option
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.argument("name")
def delete(file: Path | None, data: str | None, name: str, *, yes: bool, as_json: bool) -> None:
    """Delete a repository with its tags, manifests, history and open uploads.

    The files of blobs that no other repository has stay for gc.horizon.
    """
    with connected(file, data) as client:
        [usage] = client.operate("GET", "repositories", name=name)["repositories"]
        if not yes:
            click.echo(
                f"{usage['repository']} has {usage['tags']:,} tags, {usage['manifests']:,} manifests and"
                f" {usage['blobs']:,} blobs; to delete it frees {usage['exclusive_bytes']:,} bytes",
                err=True,
            )
            click.confirm("delete it?", abort=True, err=True)
        done = client.operate("DELETE", "repositories", name=name)
    if as_json:
        say_json(done)
        return
    click.echo(
        f"deleted: {done['tags']:,} tags, {done['manifests']:,} manifests, {done['links']:,} blobs,"
        f" {done['uploads']:,} open uploads"
    )
    click.echo(
        f"blobs condemned: {done['condemned_blobs']:,}, {done['condemned_bytes']:,} bytes, freed after gc.horizon"
    )


@click.command()
@config_option
@data_option
@json_option
@click.option("--repository", metavar="NAME", help="Of this one only.")
def stats(file: Path | None, data: str | None, repository: str | None, *, as_json: bool) -> None:
    """Say how many bytes the blobs of each repository take: logical, unique, and exclusive ones.

    Logical: what each manifest refers to, added up as if nothing were shared. Unique: each blob of the repository once.
    Exclusive: of these the blobs that no other repository has, which to delete the repository frees.
    """
    with connected(file, data) as client:
        found = client.operate("GET", "repositories", **({} if repository is None else {"name": repository}))
    if as_json:
        say_json(found)
        return
    say_table([_HEAD, *map(_row, found["repositories"])])
    total = found["total"]
    click.echo(f"all blobs, each once: {total['blobs']:,}, {total['bytes']:,} bytes")
    click.echo(f"condemned: {total['condemned_blobs']:,}, {total['condemned_bytes']:,} bytes")


def _row(usage: Any) -> list[str]:
    counts = [usage[key] for key in ("tags", "manifests", "blobs", "logical_bytes", "unique_bytes", "exclusive_bytes")]
    return [usage["repository"], *(f"{count:,}" for count in counts)]


@click.group()
def tag() -> None:
    """Tags: what they name, what they named, and the way back."""


@tag.command("list")
@config_option
@data_option
@click.argument("name")
def list_tags(file: Path | None, data: str | None, name: str) -> None:
    """List the tags of a repository."""
    from registry.oci.names import RepositoryName  # noqa: PLC0415

    with connected(file, data) as client:
        for each in client.list_tags(RepositoryName.parse(name)):
            click.echo(each)


@tag.command("history")
@config_option
@data_option
@json_option
@click.argument("reference", metavar="NAME[:TAG]")
def history(file: Path | None, data: str | None, reference: str, *, as_json: bool) -> None:
    """Show every change that is known (gc.history), the oldest first."""
    name, _, wanted = reference.partition(":")
    with connected(file, data) as client:
        changes = _changes(client, {"repository": name, **({"tag": wanted} if wanted else {})})
    if as_json:
        say_json(changes)
        return
    rows = [
        [local(each["at_ms"]), each["tag"], each["principal"], each["before"] or "", each["after"] or ""]
        for each in changes
    ]
    say_table([["TIME", "TAG", "BY", "FROM", "TO"], *rows])


def _changes(client: Client, of: dict[str, str]) -> list[Any]:
    """Page by page."""
    changes: list[Any] = []
    while page := client.operate("GET", "tags", after=str(changes[-1]["id"] if changes else 0), **of):
        changes += page
    return changes


@tag.command("restore")
@config_option
@data_option
@json_option
@click.option("--to", metavar="DIGEST", help="Let it name this manifest of the repository.")
@click.option(
    "--before", "before_ms", metavar="TIME", callback=moment, help="What it named then: 1h, 2026-11-01T12:00."
)
@click.argument("reference", metavar="NAME:TAG")
def restore(
    file: Path | None, data: str | None, reference: str, to: str | None, before_ms: int | None, *, as_json: bool
) -> None:
    """Let a tag name what it named before its last change, or at a time, or another manifest of the repository."""
    name, _, wanted = reference.partition(":")
    if not wanted:
        raise click.UsageError("a tag is named NAME:TAG")
    if to is not None and before_ms is not None:
        raise click.UsageError("--to and --before say two things")
    options = {"to": to, "before": None if before_ms is None else str(before_ms)}
    chosen = {key: value for key, value in options.items() if value is not None}
    with connected(file, data) as client:
        done = client.submit("POST", "tags", repository=name, tag=wanted, **chosen)
    if as_json:
        say_json(done)
        return
    was = "as before" if done["before"] == done["after"] else f"before: {done['before'] or 'nothing'}"
    click.echo(f"{visible(reference)} names {done['after']} ({was})")
