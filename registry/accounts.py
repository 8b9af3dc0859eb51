"""The commands for users, groups and robots."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from registry import quantities
from registry.commands import EXIT_CONFIG, config_option, connected, data_option, fail, failures_in_one_line
from registry.display import json_option, local, say_json, say_notes, say_table

if TYPE_CHECKING:
    from pathlib import Path

_password_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input, not from a terminal."
)


def _expires(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Seconds. Raises BadParameter."""
    if text is None:
        return None
    if not quantities.is_quantity(text, quantities.Duration) or quantities.seconds(text) < 1:
        raise click.BadParameter(f"{text!r}: expected a duration of a second or more, such as 12h or 90d")
    return int(quantities.seconds(text))


_expires_option = click.option("--expires", metavar="DURATION", callback=_expires, help="How long it lives: 12h, 90d.")


@click.group()
def user() -> None:
    """Users of the database, who log in by a password."""


@user.command("add")
@config_option
@data_option
@_password_option
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="May be given several times.")
@click.argument("name")
def add_user(file: Path | None, data: str | None, name: str, groups: tuple[str, ...], *, from_stdin: bool) -> None:
    """Add a user, asking for the password twice."""
    password = _password(name, from_stdin=from_stdin)
    with connected(file, data) as client:
        done = client.submit("POST", "users", name=name, password=password, group=groups)
    click.echo(f"user {done['name']} added")
    say_notes(done["notes"])


@user.command("password")
@config_option
@data_option
@_password_option
@click.argument("name")
def set_password(file: Path | None, data: str | None, name: str, *, from_stdin: bool) -> None:
    """Give a user another password. Whoever is logged in by the old one is out."""
    password = _password(name, from_stdin=from_stdin)
    with connected(file, data) as client:
        done = client.submit("PUT", "users", name=name, password=password)
    click.echo(f"user {done['name']} has another password")


@user.command("list")
@config_option
@data_option
@json_option
def list_users(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """List the users of the database; those of an htpasswd file stand in that."""
    with connected(file, data) as client:
        found = client.operate("GET", "users")
    if as_json:
        say_json(found)
        return
    rows = [[each["name"], " ".join(each["groups"]), " ".join(each["rules"]), *_times(each)] for each in found]
    say_table([["NAME", "GROUPS", "RULES", "ADDED", "LAST USED"], *rows])


@user.command("remove")
@config_option
@data_option
@click.argument("name")
def remove_user(file: Path | None, data: str | None, name: str) -> None:
    """Remove a user, with the rules and memberships under the name. Whoever is logged in by it is out."""
    with connected(file, data) as client:
        done = client.operate("DELETE", "users", name=name)
    click.echo(f"user {done['name']} removed")
    say_notes(done["notes"])


@click.group()
def group() -> None:
    """Groups, to which rules can give rights."""


@group.command("add")
@config_option
@data_option
@click.argument("name", metavar="GROUP")
@click.argument("members", metavar="MEMBER...", nargs=-1, required=True)
def join_group(file: Path | None, data: str | None, name: str, members: tuple[str, ...]) -> None:
    """Let users, robot:NAME and ISSUER:SUBJECT be members of a group."""
    with connected(file, data) as client:
        done = client.submit("POST", "groups", name=name, member=members)
    _say_members(done, "is in", "was in")
    say_notes(done["notes"])


@group.command("remove")
@config_option
@data_option
@click.argument("name", metavar="GROUP")
@click.argument("members", metavar="MEMBER...", nargs=-1, required=True)
def leave_group(file: Path | None, data: str | None, name: str, members: tuple[str, ...]) -> None:
    """Let them be members no more; a group without members is gone, its rules stay."""
    with connected(file, data) as client:
        done = client.operate("DELETE", "groups", name=name, member=members)
    _say_members(done, "is no more in", "was not in")


def _say_members(done: Any, changed: str, unchanged: str) -> None:
    for member in done["members"]:
        click.echo(f"{member} {changed if member in done['changed'] else unchanged} the group {done['name']}")


@group.command("list")
@config_option
@data_option
@json_option
def list_groups(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """List the groups of the database with their members."""
    with connected(file, data) as client:
        found = client.operate("GET", "groups")
    if as_json:
        say_json(found)
        return
    say_table([["GROUP", "MEMBERS"], *([each["name"], " ".join(each["members"])] for each in found)])


@click.group()
def robot() -> None:
    """Robots: accounts of programs, each with a secret."""


@robot.command("add")
@config_option
@data_option
@click.option("--scope", "scopes", metavar="PATTERN:RIGHT,...", multiple=True, help="May be given several times.")
@_expires_option
@click.argument("name")
def add_robot(file: Path | None, data: str | None, name: str, scopes: tuple[str, ...], expires: int | None) -> None:
    """Add a robot, and print its secret. It is not to be seen again.

    A scope becomes a rule for robot:NAME, as in --scope 'team/**:pull,push'.
    """
    with connected(file, data) as client:
        done = client.submit("POST", "robots", name=name, scope=scopes, **_lifetime(expires))
    notes = [] if scopes else [f"{done['name']} has no rules of its own; see cargohold grant add"]
    _say_secret(done, "added", notes)


@robot.command("rotate")
@config_option
@data_option
@_expires_option
@click.argument("name")
def rotate_robot(file: Path | None, data: str | None, name: str, expires: int | None) -> None:
    """Print another secret; the old one ends at once. Without --expires the robot lives as long as it would have."""
    with connected(file, data) as client:
        done = client.submit("PUT", "robots", name=name, **_lifetime(expires))
    _say_secret(done, "has another secret", [])


@robot.command("list")
@config_option
@data_option
@json_option
def list_robots(file: Path | None, data: str | None, *, as_json: bool) -> None:
    """List the robots: what they may do, until when, and when they were last used."""
    with connected(file, data) as client:
        found = client.operate("GET", "robots")
    if as_json:
        say_json(found)
        return
    rows = [
        [
            each["name"],
            " ".join(each["rules"]),
            " ".join(each["groups"]),
            local(each["expires_ms"], "never"),
            *_times(each),
        ]
        for each in found
    ]
    say_table([["NAME", "SCOPES", "GROUPS", "EXPIRES", "ADDED", "LAST USED"], *rows])


@robot.command("remove")
@config_option
@data_option
@click.argument("name")
def remove_robot(file: Path | None, data: str | None, name: str) -> None:
    """Remove a robot with its rules and memberships; its secret and its tokens end at once."""
    with connected(file, data) as client:
        done = client.operate("DELETE", "robots", name=name)
    click.echo(f"{done['name']} removed")


def _say_secret(done: Any, what: str, notes: list[str]) -> None:
    """The secret alone stands on standard output."""
    plain = done["name"].partition(":")[2]
    click.echo(
        f"{done['name']} {what}. The secret is shown this once; log in with it as the password, as {plain} or anybody:",
        err=True,
    )
    click.echo(done["secret"])
    say_notes([*notes, *done["notes"]])


def _lifetime(expires: int | None) -> dict[str, str]:
    return {} if expires is None else {"expires_seconds": str(expires)}


def _times(account: Any) -> tuple[str, str]:
    return local(account["created_ms"]), local(account["used_ms"], "never")


def _password(name: str, *, from_stdin: bool) -> str:
    """Exits where there is none to be had."""
    from registry.service.accounts import check_password  # noqa: PLC0415
    from registry.service.subjects import parse_user  # noqa: PLC0415

    with failures_in_one_line():
        parse_user(name)
        password = _read_password() if from_stdin else _ask_password(name)
        check_password(password)
    return password


def _read_password() -> str:
    """One line, or what stands before the end."""
    content = sys.stdin.buffer.read()
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        fail("the password on standard input is not UTF-8", EXIT_CONFIG)


def _ask_password(name: str) -> str:
    if not sys.stdin.isatty():
        fail("standard input is no terminal on which to ask for the password; give it by --password-stdin", EXIT_CONFIG)
    password: str = click.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True, err=True)
    return password
