"""What the commands have in common: options, settings, the way to the registry, and one line for each failure."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from registry import config, logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.config import Setting, Settings
    from registry.transfer.client import Client

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_COULD_NOT_RUN = 2

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="A TOML file with settings.",
)
data_option = click.option("--data", metavar="DIR", help="Where everything is kept. [default: ./data]")


@contextmanager
def connected(file: Path | None, data: str | None, *, failed: int = EXIT_FAILED) -> Iterator[Client]:
    """The registry as its operator's client; ``failed`` is the exit status where it can't be reached, or refuses."""
    settings, _ = load(file, data, ())
    logs.set_up(replace(settings.log, level="warning"))

    from registry import admin  # noqa: PLC0415
    from registry.policies import policy_of  # noqa: PLC0415

    with failures_in_one_line(failed), admin.connect(Path(settings.data), policy_of(settings)) as client:
        yield client


def load(file: Path | None, data: str | None, listen: tuple[str, ...], **flags: Any) -> tuple[Settings, list[Setting]]:
    try:
        return config.load(file, flags=flags_of(data, listen, **flags))
    except config.ConfigError as error:
        fail(str(error), EXIT_CONFIG)


def flags_of(data: str | None, listen: tuple[str, ...], **flags: Any) -> dict[str, Any]:
    """What stands on the command line, by the keys of settings."""
    if data is not None:
        flags["data"] = data
    if listen:
        flags["listen"] = list(listen)
    return flags


@contextmanager
def failures_in_one_line(failed: int = EXIT_FAILED) -> Iterator[None]:
    """What an operator can do something about is said in one line; anything else is a fault, with its traceback."""
    from registry.oci.errors import RegistryError  # noqa: PLC0415
    from registry.service.htpasswd import HtpasswdInvalid  # noqa: PLC0415
    from registry.store.backups import BackupUnusable  # noqa: PLC0415
    from registry.store.copies import FolderBusy  # noqa: PLC0415
    from registry.store.failures import DatabaseDamaged  # noqa: PLC0415
    from registry.store.folder import FolderUnusable  # noqa: PLC0415
    from registry.store.schema import DatabaseTooNew  # noqa: PLC0415
    from registry.transfer.errors import TransferFailed  # noqa: PLC0415

    refused = (
        *(FolderUnusable, DatabaseTooNew, DatabaseDamaged, HtpasswdInvalid, BackupUnusable, FolderBusy),
        config.ConfigError,
    )
    known = (*refused, RegistryError, TransferFailed, OSError, sqlite3.Error)
    failure: BaseException | None = None
    try:
        yield
    except* known as errors:
        failure = errors
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if failure is not None:
        fail(str(failure), failed)


def fail(message: str, code: int) -> NoReturn:
    click.echo(f"cargohold: {message}", err=True)
    sys.exit(code)
