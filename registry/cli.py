"""The command line."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from registry import config, logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.config import Setting, Settings
    from registry.transfer.client import Client

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
@click.option("--read-only", is_flag=True, help="Answer pulls and discovery, and 405 to whatever changes something.")
def serve(file: Path | None, data: str | None, listen: tuple[str, ...], *, read_only: bool) -> None:
    """Run the registry until SIGTERM or Ctrl-C."""
    settings, _ = _load(file, data, listen, **({"access.read_only": True} if read_only else {}))
    logs.set_up(settings.log)

    import trio  # noqa: PLC0415 (the other commands answer without loading the server)

    from registry import daemon  # noqa: PLC0415

    with _failures_in_one_line():
        trio.run(daemon.run, settings)


@main.command("import")
@_config_option
@_data_option
@click.option("--as", "target", metavar="REPOSITORY[:TAG]", help="Where the image goes, instead of by its own name.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def import_(file: Path | None, data: str | None, target: str | None, paths: tuple[Path, ...]) -> None:
    """Put images into the registry, running or not: OCI layouts as folders or tars, and archives of docker save."""
    with _connected(file, data) as client:
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
            Importer(client, layout, click.echo).push(image, targets_of(image, wanted))


@main.command()
@_config_option
@_data_option
@click.option("--to", "path", required=True, type=click.Path(path_type=Path), help="A folder, or a file NAME.tar.")
@click.argument("reference", metavar="REPOSITORY:TAG|REPOSITORY@DIGEST")
def export(file: Path | None, data: str | None, path: Path, reference: str) -> None:
    """Write an image to an OCI layout, byte for byte."""
    from registry.transfer.exporting import Exporter, open_destination  # noqa: PLC0415
    from registry.transfer.importing import parse_reference  # noqa: PLC0415

    with _connected(file, data) as client:
        name, wanted = parse_reference(reference)
        with open_destination(path) as destination:
            digest = Exporter(client, name, destination, click.echo).write(wanted)
        click.echo(f"{path} holds {name}@{digest}")


@contextmanager
def _connected(file: Path | None, data: str | None) -> Iterator[Client]:
    """The registry as its operator's client."""
    settings, _ = _load(file, data, ())
    logs.set_up(replace(settings.log, level="warning"))

    from registry import admin  # noqa: PLC0415
    from registry.daemon import policy_of  # noqa: PLC0415

    with _failures_in_one_line(), admin.connect(Path(settings.data), policy_of(settings)) as client:
        yield client


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
        click.echo(f"{setting.key} = {json.dumps(setting.value, ensure_ascii=False)}  # {setting.source}")


def _load(file: Path | None, data: str | None, listen: tuple[str, ...], **flags: Any) -> tuple[Settings, list[Setting]]:
    if data is not None:
        flags["data"] = data
    if listen:
        flags["listen"] = list(listen)
    try:
        return config.load(file, flags=flags)
    except config.ConfigError as error:
        _fail(str(error), _EXIT_CONFIG)


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    """What an operator can do something about is said in one line; anything else is a fault, with its traceback."""
    from registry.oci.errors import RegistryError  # noqa: PLC0415
    from registry.store.folder import FolderUnusable  # noqa: PLC0415
    from registry.store.schema import DatabaseTooNew  # noqa: PLC0415
    from registry.store.writer import DatabaseDamaged  # noqa: PLC0415
    from registry.transfer.errors import TransferFailed  # noqa: PLC0415

    known = (FolderUnusable, DatabaseTooNew, DatabaseDamaged, RegistryError, TransferFailed, OSError, sqlite3.Error)
    failure: BaseException | None = None
    try:
        yield
    except* known as errors:
        failure = errors
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is not None:
        _fail(str(failure), _EXIT_FAILED)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"cargohold: {message}", err=True)
    sys.exit(code)
