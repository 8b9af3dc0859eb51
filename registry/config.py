"""Settings: from a TOML file, the environment and the command line, in rising order."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

import msgspec

from registry import issuer_settings, quantities
from registry.addresses import find_exposure, is_address, is_network, is_web_address
from registry.issuer_settings import IssuerSettings

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

_PREFIX = "CARGOHOLD_"

_LARGEST = 10**9
"""The largest number that a setting takes: thirty years in seconds."""


class ConfigError(Exception):
    """A setting that can't be used; the message names it, where it stands, and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    client_burst: int = 200
    client_connection_limit: quantities.OptionalCount = 0
    client_requests_per_second: quantities.OptionalRate = 0.0
    connection_limit: int = 4096
    drain_seconds: float = 10.0
    external_url: str = ""
    head_seconds: float = 10.0
    read_workers: quantities.Processes = "0"
    stall_seconds: float = 60.0
    tls_certificate: str = ""
    tls_client_ca: str = ""
    tls_key: str = ""
    trusted_proxies: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    interval: quantities.Duration = "15m"


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageSettings:
    batch: int = 100
    collect_orphaned_tags: bool = False
    grace: quantities.Duration = "24h"
    history: quantities.Duration = "90d"
    horizon: quantities.Duration = "7d"
    interval: quantities.Duration = "5m"
    lease_seconds: float = 3600.0
    max_lock_ms: float = 20.0
    untagged_after: quantities.OptionalDuration = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubSettings:
    bytes_per_second: quantities.Size = "20MiB"
    verified_seconds: float = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    allow_network: bool = False
    checkpoint: Literal["own", "external"] = "own"
    reserve: quantities.OptionalSize = ""
    stall_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    concurrent_limit: int = 1000
    idle_seconds: float = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    allow_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSettings:
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    audit: quantities.Duration = "90d"
    htpasswd: str = ""
    issuers: list[IssuerSettings] = field(default_factory=list)
    login: quantities.Duration = "30d"
    mode: Literal["", "open", "basic", "token"] = ""
    read_only: bool = False
    token_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    format: Literal["auto", "human", "json", "logfmt", "journal"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    listen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    data: str = "./data"
    listen: list[str] = field(default_factory=lambda: ["127.0.0.1:5000"])
    access: AccessSettings = field(default_factory=AccessSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    delete: DeleteSettings = field(default_factory=DeleteSettings)
    gc: GarbageSettings = field(default_factory=GarbageSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    push: PushSettings = field(default_factory=PushSettings)
    scrub: ScrubSettings = field(default_factory=ScrubSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    uploads: UploadSettings = field(default_factory=UploadSettings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value: its dotted key, and where it was set."""

    key: str
    value: Any
    source: str


def load(
    file: Path | None, environment: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None
) -> tuple[Settings, list[Setting]]:
    """The effective settings. ``flags`` maps dotted keys to values. Raises ConfigError."""
    forms = dict(_forms(Settings))
    effective = {key: Setting(key, value, "default") for key, value in flatten(msgspec.to_builtins(Settings()), forms)}
    layers = [*_read_file(file, forms), *_read_environment(environment, forms)]
    layers += [Setting(key, value, "command line") for key, value in (flags or {}).items()]
    for setting in layers:
        form = forms.get(setting.key)
        if form is None:
            raise ConfigError(_unknown(setting, forms))
        effective[setting.key] = Setting(setting.key, _convert(setting, form), setting.source)
    _check(effective, forms)
    return msgspec.convert(_nest(effective.values()), Settings), list(effective.values())


def _forms(section: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each dotted key and the type of its value."""
    hints = get_type_hints(section, include_extras=True)
    for each in fields(section):
        if is_dataclass(hints[each.name]):
            yield from _forms(hints[each.name], f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", hints[each.name]


def flatten(table: Mapping[str, Any], forms: Container[str] = (), prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the value of each setting; a table is one where its key is among the forms."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in forms:
            yield from flatten(value, forms, f"{key}.")
        else:
            yield key, value


def _nest(settings: Iterable[Setting]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for setting in settings:
        *sections, name = setting.key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = setting.value
    return tree


def _read_file(file: Path | None, forms: Mapping[str, Any]) -> list[Setting]:
    if file is None:
        return []
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    return [Setting(key, value, str(file)) for key, value in flatten(table, forms)]


def _read_environment(environment: Mapping[str, str], forms: Mapping[str, Any]) -> list[Setting]:
    settings = []
    for name, text in environment.items():
        if name.startswith(_PREFIX):
            key = name.removeprefix(_PREFIX).lower().replace("__", ".")
            value = [part.strip() for part in text.split(",")] if forms.get(key) == list[str] else text
            settings.append(Setting(key, value, f"environment variable {name}"))
    return settings


def _convert(setting: Setting, form: Any) -> Any:
    """The value in its form; text from the environment is read as a number or a truth where one is expected."""
    if form in quantities.FORMS:
        if quantities.is_quantity(setting.value, form):
            return str(setting.value)
        raise ConfigError(f"{setting.source}: {setting.key} = {setting.value!r}: expected {quantities.FORMS[form]}")
    if form == list[IssuerSettings]:
        try:
            return issuer_settings.convert(setting.value)
        except ValueError as error:
            raise ConfigError(f"{setting.source}: {setting.key}{error}") from None
    try:
        return msgspec.convert(setting.value, form, strict=not setting.source.startswith("environment"))
    except msgspec.ValidationError:
        raise ConfigError(f"{setting.source}: {setting.key} = {setting.value!r}: expected {_describe(form)}") from None


def _describe(form: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list[str]: "a list of texts"}
    if form in quantities.MAY_BE_ZERO:
        form = form.__origin__
    if form in words:
        return words[form]
    return " or ".join(f'"{choice}"' for choice in form.__args__ if choice)


def _unknown(setting: Setting, forms: Mapping[str, Any]) -> str:
    return f"{setting.source}: unknown setting {setting.key}; there are {', '.join(forms)}"


def _check(effective: Mapping[str, Setting], forms: Mapping[str, Any]) -> None:
    """What a type does not say."""
    for setting in effective.values():
        _check_number(setting, may_be_zero=forms[setting.key] in quantities.MAY_BE_ZERO)
    if not effective["data"].value:
        raise ConfigError(f"{effective['data'].source}: data: expected a folder")
    _check_lease(effective)
    _check_tls(effective)
    _check_origin(effective["http.trusted_proxies"], effective["http.external_url"])
    listen, metrics = effective["listen"], effective["metrics.listen"]
    for setting, address in [*((listen, each) for each in listen.value), (metrics, metrics.value)]:
        if not is_address(address) and (address or setting is listen):
            expected = "expected HOST:PORT, [IPV6]:PORT or unix:PATH"
            raise ConfigError(f"{setting.source}: {setting.key} = {address!r}: {expected}")
    if not listen.value:
        raise ConfigError(f"{listen.source}: listen: expected at least one address")
    exposure = find_exposure(effective["access.mode"].value, listen.value)
    if exposure is not None:
        raise ConfigError(f"{listen.source}: {exposure}")


def _check_number(setting: Setting, *, may_be_zero: bool) -> None:
    if not isinstance(setting.value, int | float) or isinstance(setting.value, bool):
        return
    if not (0 < setting.value <= _LARGEST or (may_be_zero and setting.value == 0)):
        lowest = "0 (off) or a number above it" if may_be_zero else "a number above 0"
        raise ConfigError(f"{setting.source}: {setting.key} = {setting.value}: expected {lowest}, at most {_LARGEST}")


def _check_tls(effective: Mapping[str, Setting]) -> None:
    """A certificate needs its key, and what needs TLS needs both."""
    files = [effective[f"http.{name}"] for name in ("tls_certificate", "tls_key", "tls_client_ca")]
    missing = [setting.key for setting in files[:2] if not setting.value]
    for setting in files:
        if setting.value and missing:
            raise ConfigError(f"{setting.source}: {setting.key} needs {missing[0]} beside it")


def _check_origin(proxies: Setting, url: Setting) -> None:
    for proxy in proxies.value:
        if proxy != "unix" and not is_network(proxy):
            raise ConfigError(
                f"{proxies.source}: {proxies.key} = {proxy!r}: expected an IP address, a network such as"
                ' "10.0.0.0/8", or "unix"'
            )
    if url.value and not is_web_address(url.value):
        raise ConfigError(f"{url.source}: {url.key} = {url.value!r}: expected http(s)://HOST[:PORT][/PATH]")


def _check_lease(effective: Mapping[str, Setting]) -> None:
    """What a client was promised must not be collected before."""
    lease_seconds = effective["gc.lease_seconds"].value
    for setting in (effective["gc.grace"], effective["gc.untagged_after"]):
        if setting.value and quantities.seconds(setting.value) < lease_seconds:
            raise ConfigError(
                f"{setting.source}: {setting.key} = {setting.value!r}: expected at least gc.lease_seconds"
                f" ({lease_seconds} s)"
            )
