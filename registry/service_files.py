"""The files of the systemd service: where they go, and what is to be done next."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import click

import registry
from registry.commands import failures_in_one_line

_EXECUTABLE = "/opt/cargohold/bin/cargohold"
"""What stands in the unit, in the place of the program that installs it."""

_CONFIG = "etc/cargohold/config.toml"

_PLACES = {
    "cargohold.service": "etc/systemd/system/cargohold.service",
    "cargohold.socket": "etc/systemd/system/cargohold.socket",
    "cargohold-backup.service": "etc/systemd/system/cargohold-backup.service",
    "cargohold-backup.timer": "etc/systemd/system/cargohold-backup.timer",
    "cargohold.sysusers": "etc/sysusers.d/cargohold.conf",
    "cargohold.tmpfiles": "etc/tmpfiles.d/cargohold.conf",
    "config.toml": _CONFIG,
}
_NO_NETWORK = {"no-network.conf": "etc/systemd/system/cargohold.service.d/no-network.conf"}

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (what the unit's sandbox hides)

_NEXT = """\
Next:
  systemd-sysusers && systemd-tmpfiles --create cargohold.conf
  systemctl daemon-reload
  systemctl enable --now cargohold.socket cargohold.service
For a backup each night:
  systemctl enable --now cargohold-backup.timer"""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    content: str
    is_kept: bool
    """Whether it stays as it is where it is there already."""

    def outcome(self) -> str:
        """What becomes of it."""
        if not self.path.exists():
            return "new"
        if self.path.read_text("utf-8") == self.content:
            return "unchanged"
        return "kept as it is" if self.is_kept else "replaced"


@click.command("install-service")
@click.option("--prefix", type=click.Path(path_type=Path), default=Path("/"), help="In place of /, for a package.")
@click.option("--no-network", is_flag=True, help="Take from the daemon all but the sockets of cargohold.socket.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def install_service(prefix: Path, *, no_network: bool, dry_run: bool) -> None:
    """Put the systemd units in place, for the cargohold that runs this, and an example of a configuration.

    A configuration that is there stays. Changes of the units belong into drop-ins (systemctl edit): units are replaced.
    """
    command = _command()
    for hidden in _HIDDEN:
        if any(path.is_relative_to(hidden) for path in _needed()):
            click.echo(
                f"the service will not start: it does not see {hidden}, where this cargohold is installed", err=True
            )
    with failures_in_one_line():
        for name, place in {**_PLACES, **(_NO_NETWORK if no_network else {})}.items():
            content = resources.files("registry.units").joinpath(name).read_text("utf-8")
            file = _File(prefix / place, content.replace(_EXECUTABLE, command), place == _CONFIG)
            click.echo(f"{file.path}: {_put(file, dry_run=dry_run)}")
    if not dry_run:
        click.echo(_NEXT)


def _put(file: _File, *, dry_run: bool) -> str:
    outcome = file.outcome()
    if outcome in {"new", "replaced"} and not dry_run:
        file.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.path.write_text(file.content, "utf-8")
        file.path.chmod(0o644)
    return outcome


def _command() -> str:
    """This program, as it is written in a unit (systemd.service(5), command lines)."""
    script = Path(sysconfig.get_path("scripts"), "cargohold")
    words = [str(script)] if script.exists() else [sys.executable, "-m", "registry"]
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    escaped = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(character in escaped for character in " \t'\"\\;") else escaped


def _needed() -> list[Path]:
    """Where the program and its interpreter are."""
    return [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, registry.__path__[0])]
