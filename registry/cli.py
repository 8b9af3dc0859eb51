"""The command line."""

from __future__ import annotations

import gc
import json
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry import (
    accounts,
    audit,
    backups,
    config,
    databases,
    logs,
    mode,
    repositories,
    rules,
    service_files,
    upkeep,
)
from registry.commands import config_option, connected, data_option, failures_in_one_line, flags_of, load
from registry.display import progress_bar

if TYPE_CHECKING:
    from registry.transfer.client import Client

_listen_option = click.option(
    "--listen",
    metavar="HOST:PORT",
    multiple=True,
    help="Where to listen: HOST:PORT, [IPV6]:PORT or unix:PATH; may be given several times. [default: 127.0.0.1:5000]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Cargohold, a container registry."""


@main.command()
@config_option
@data_option
@_listen_option
@click.option("--read-only", is_flag=True, help="Answer pulls and discovery, and 405 to whatever changes something.")
@click.option("--read-workers", metavar="N|auto", help="Processes that answer pulls beside the main one. [default: 0]")
def serve(
    file: Path | None, data: str | None, listen: tuple[str, ...], *, read_only: bool, read_workers: str | None
) -> None:
    """Run the registry until SIGTERM or Ctrl-C."""
    flags: dict[str, Any] = {"access.read_only": True} if read_only else {}
    if read_workers is not None:
        flags["http.read_workers"] = read_workers
    settings, _ = load(file, data, listen, **flags)
    logs.set_up(settings.log)

    def load_again() -> config.Settings:
        return config.load(file, flags=flags_of(data, listen, **flags))[0]

    gc.disable()  # what is loaded stays; to look through it again and again is an eighth of a start
    import trio  # noqa: PLC0415 (the other commands answer without loading the server)

    from registry import daemon  # noqa: PLC0415
    from registry.gathering import Gathering  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    with failures_in_one_line():
        trio.run(daemon.run, settings, load_again, instruments=[Gathering()])


@main.command("import")
@config_option
@data_option
@click.option("--as", "target", metavar="REPOSITORY[:TAG]", help="Where the image goes, instead of by its own name.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def import_(file: Path | None, data: str | None, target: str | None, paths: tuple[Path, ...]) -> None:
    """Put images into the registry, running or not: OCI layouts as folders or tars, and archives of docker save."""
    with connected(file, data) as client:
        for path in paths:
            _import(client, path, target)


def _import(client: Client, path: Path, target: str | None) -> None:
    from registry.transfer.importing import Importer, parse_target, targets_of  # noqa: PLC0415
    from registry.transfer.layouts import read_layout  # noqa: PLC0415
    from registry.transfer.sources import open_source  # noqa: PLC0415

    wanted = None if target is None else parse_target(target)
    with open_source(path) as source:
        layout = read_layout(source)
        if layout.note:
            click.echo(f"{path}: {layout.note}")
        for image in layout.images:
            Importer(client, layout, click.echo, progress_bar).push(image, targets_of(image, wanted))


@main.command()
@config_option
@data_option
@click.option("--to", "path", required=True, type=click.Path(path_type=Path), help="A folder, or a file NAME.tar.")
@click.argument("reference", metavar="REPOSITORY:TAG|REPOSITORY@DIGEST")
def export(file: Path | None, data: str | None, path: Path, reference: str) -> None:
    """Write an image to an OCI layout, byte for byte."""
    from registry.transfer.exporting import Exporter, open_destination  # noqa: PLC0415
    from registry.transfer.importing import parse_reference  # noqa: PLC0415

    with connected(file, data) as client:
        name, wanted = parse_reference(reference)
        with open_destination(path) as destination:
            digest = Exporter(client, name, destination, click.echo, progress_bar).write(wanted)
        click.echo(f"{path} holds {name}@{digest}")


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"cargohold {installed_version('cargohold')}")


@main.group("config")
def config_group() -> None:
    """Check or show the settings."""


@config_group.command()
@config_option
@data_option
@_listen_option
def check(file: Path | None, data: str | None, listen: tuple[str, ...]) -> None:
    """Say whether the settings can be used."""
    load(file, data, listen)
    click.echo("the settings are good")


@config_group.command()
@config_option
@data_option
@_listen_option
def show(file: Path | None, data: str | None, listen: tuple[str, ...]) -> None:
    """Print every setting as TOML, and where it comes from."""
    _, effective = load(file, data, listen)
    for setting in effective:
        click.echo(f"{setting.key} = {_to_toml(setting.value)}  # {setting.source}")


def _to_toml(value: Any) -> str:
    """On one line. Texts, numbers and truths are written as in JSON."""
    if isinstance(value, list):
        return f"[{', '.join(map(_to_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_to_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


for command in (
    *(upkeep.gc, upkeep.fsck, upkeep.scrub, upkeep.recover, backups.backup, backups.restore),
    *(accounts.user, accounts.group, accounts.robot, rules.grant, audit.audit, mode.mode),
    *(databases.db, repositories.repo, repositories.stats, repositories.tag, service_files.install_service),
):
    main.add_command(command)
