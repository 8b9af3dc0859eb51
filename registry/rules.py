"""The commands for rules: who may do what in which repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.commands import config_option, connected, data_option
from registry.display import json_option, say_json, say_notes, say_table

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def grant() -> None:
    """Rules: who may do what in which repositories. What no rule allows is refused.

    SUBJECT is a user's name, robot:NAME, group:NAME, anonymous, authenticated, or ISSUER:SUBJECT. In PATTERN, * stands
    for any characters but "/", and ** as a whole component for one or more components. RIGHT is pull, push (create and
    update), create, update, delete, or admin (all of them).
    """


@grant.command("add")
@config_option
@data_option
@click.argument("subject")
@click.argument("pattern")
@click.argument("rights", metavar="RIGHT...", nargs=-1, required=True)
def add(file: Path | None, data: str | None, subject: str, pattern: str, rights: tuple[str, ...]) -> None:
    """Give rights, to what the subject has there already."""
    with connected(file, data) as client:
        done = client.submit("POST", "rules", subject=subject, pattern=pattern, right=_words(rights))
    _say_change(done)


@grant.command("remove")
@config_option
@data_option
@click.argument("subject")
@click.argument("pattern")
@click.argument("rights", metavar="[RIGHT...]", nargs=-1)
def remove(file: Path | None, data: str | None, subject: str, pattern: str, rights: tuple[str, ...]) -> None:
    """Take rights away, or the whole rule."""
    with connected(file, data) as client:
        done = client.operate("DELETE", "rules", subject=subject, pattern=pattern, right=_words(rights))
    _say_change(done)


@grant.command("list")
@config_option
@data_option
@json_option
@click.argument("subject", required=False)
def list_rules(file: Path | None, data: str | None, subject: str | None, *, as_json: bool) -> None:
    """List the rules of a subject, or all."""
    with connected(file, data) as client:
        found = client.operate("GET", "rules", **({} if subject is None else {"subject": subject}))
    if as_json:
        say_json(found)
        return
    say_table([["SUBJECT", "PATTERN", "RIGHTS"], *map(_row, found)])


@grant.command("check")
@config_option
@data_option
@json_option
@click.argument("subject")
@click.argument("repository")
def check(file: Path | None, data: str | None, subject: str, repository: str, *, as_json: bool) -> None:
    """Say what the subject may do in a repository, and which rules say so."""
    with connected(file, data) as client:
        verdict = client.operate("GET", "rules/check", subject=subject, repository=repository)
    if as_json:
        say_json(verdict)
        return
    click.echo(f"{subject} may do in {repository}: {' '.join(verdict['rights']) or 'nothing'}")
    for rule in verdict["rules"]:
        click.echo(f"  by the rule: {'  '.join(_row(rule))}")
    say_notes(verdict["notes"])


def _words(rights: tuple[str, ...]) -> list[str]:
    """Rights may be separated by commas too, as they are in scopes."""
    return [word for text in rights for word in text.split(",")]


def _row(rule: Any) -> list[str]:
    return [rule["subject"], rule["pattern"], " ".join(rule["rights"])]


def _say_change(done: Any) -> None:
    before, after = (" ".join(done[when]) or "nothing" for when in ("before", "after"))
    was = "as before" if before == after else f"before: {before}"
    click.echo(f"{done['subject']} on {done['pattern']}: {after} ({was})")
    say_notes(done["notes"])
