"""The command line."""

from __future__ import annotations

import json
import sqlite3
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from registry import config, logs

if TYPE_CHECKING:
    from registry.config import Setting, Settings

_EXIT_FAILED = 1
_EXIT_CONFIG = 2

_config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="A TOML file with settings.",
)
_data_option = click.option("--data", metavar="DIR", help="Where everything is kept. [default: ./data]")
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
@_config_option
@_data_option
@_listen_option
def serve(file: Path | None, data: str | None, listen: tuple[str, ...]) -> None:
    """Run the registry until SIGTERM or Ctrl-C."""
    settings, _ = _load(file, data, listen)
    logs.set_up(settings.log)

    import trio  # noqa: PLC0415 (the other commands answer without loading the server)

    from registry import daemon  # noqa: PLC0415
    from registry.store.folder import FolderUnusable  # noqa: PLC0415
    from registry.store.schema import DatabaseTooNew  # noqa: PLC0415

    failure = None
    try:
        trio.run(daemon.run, settings)
    except* (FolderUnusable, DatabaseTooNew, OSError, sqlite3.Error) as errors:
        failure = _first(errors)
    if failure is not None:
        _fail(failure, _EXIT_FAILED)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"cargohold {installed_version('cargohold')}")


@main.group("config")
def config_group() -> None:
    """Check or show the settings."""


@config_group.command()
@_config_option
@_data_option
@_listen_option
def check(file: Path | None, data: str | None, listen: tuple[str, ...]) -> None:
    """Say whether the settings can be used."""
    _load(file, data, listen)
    click.echo("the settings are good")


@config_group.command()
@_config_option
@_data_option
@_listen_option
def show(file: Path | None, data: str | None, listen: tuple[str, ...]) -> None:
    """Print every setting as TOML, and where it comes from."""
    _, effective = _load(file, data, listen)
    for setting in effective:
        click.echo(f"{setting.key} = {json.dumps(setting.value)}  # {setting.source}")


def _load(file: Path | None, data: str | None, listen: tuple[str, ...]) -> tuple[Settings, list[Setting]]:
    flags: dict[str, Any] = {}
    if data is not None:
        flags["data"] = data
    if listen:
        flags["listen"] = list(listen)
    try:
        return config.load(file, flags=flags)
    except config.ConfigError as error:
        _fail(str(error), _EXIT_CONFIG)


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    """The first error of a group, in words."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"cargohold: {message}", err=True)
    sys.exit(code)
