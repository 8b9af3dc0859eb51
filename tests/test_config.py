"""Settings from a file, the environment and the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from registry import config


def load(tmp_path: Path, toml: str = "", environment: dict[str, str] | None = None, **flags: Any) -> config.Settings:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return config.load(file, environment or {}, flags)[0]


def refused(tmp_path: Path, toml: str = "", environment: dict[str, str] | None = None, **flags: Any) -> str:
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, toml, environment, **flags)
    return str(caught.value)


def test_everything_has_a_default() -> None:
    settings, effective = config.load(None, {})
    assert (settings.data, settings.listen) == ("./data", ["127.0.0.1:5000"])
    assert {setting.source for setting in effective} == {"default"}


def test_flags_beat_the_environment_beats_the_file(tmp_path: Path) -> None:
    toml = 'data = "/file"\nlisten = ["127.0.0.1:1"]\n[http]\ndrain_seconds = 1\nstall_seconds = 2.5\n'
    environment = {"CARGOHOLD_HTTP__DRAIN_SECONDS": "3", "CARGOHOLD_DATA": "/environment", "HOME": "/root"}
    settings = load(tmp_path, toml, environment, data="/flag")
    assert (settings.data, settings.listen) == ("/flag", ["127.0.0.1:1"])
    assert (settings.http.drain_seconds, settings.http.stall_seconds) == (3, 2.5)


def test_text_from_the_environment_is_read_in_the_settings_form(tmp_path: Path) -> None:
    environment = {
        "CARGOHOLD_LISTEN": "127.0.0.1:1, [::1]:2,unix:/run/x",
        "CARGOHOLD_DELETE__ENABLED": "false",
        "CARGOHOLD_UPLOADS__CONCURRENT_LIMIT": "7",
        "CARGOHOLD_LOG__LEVEL": "debug",
    }
    settings = load(tmp_path, "", environment)
    assert settings.listen == ["127.0.0.1:1", "[::1]:2", "unix:/run/x"]
    assert (settings.delete.enabled, settings.uploads.concurrent_limit, settings.log.level) == (False, 7, "debug")


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ("[http]\ndrain_second = 1", ["config.toml", "unknown setting http.drain_second", "http.drain_seconds"]),
        ("nonsense = 1", ["config.toml", "unknown setting nonsense"]),
        ("[http]\ndrain_seconds = '1'", ["config.toml", "http.drain_seconds = '1'", "expected a number"]),
        ("[http]\ndrain_seconds = true", ["http.drain_seconds", "expected a number"]),
        ("[http]\ndrain_seconds = 0", ["http.drain_seconds", "above 0"]),
        ("[http]\ndrain_seconds = nan", ["http.drain_seconds", "above 0"]),
        ("[http]\ndrain_seconds = inf", ["http.drain_seconds", "at most 1000000000"]),
        ("data = ''", ["config.toml: data: expected a folder"]),
        ("http = 1", ["config.toml", "http"]),
        ("listen = '127.0.0.1:5000'", ["listen", "expected a list of texts"]),
        ("[delete]\nenabled = 1", ["delete.enabled", "expected true or false"]),
        ("[uploads]\nconcurrent_limit = 1.5", ["uploads.concurrent_limit", "expected a whole number"]),
        ("[log]\nlevel = 'loud'", ["log.level = 'loud'", '"debug" or "info" or "warning" or "error"']),
        ("[access]\nmode = 'closed'", ["access.mode = 'closed'", '"open"']),
        ("data = [", ["config.toml", "not TOML"]),
        ("[http]\ntls_certificate = 'a'", ["config.toml", "http.tls_certificate needs http.tls_key beside it"]),
        ("[http]\ntls_key = 'a'", ["http.tls_key needs http.tls_certificate beside it"]),
        ("[http]\ntls_client_ca = 'a'", ["http.tls_client_ca needs http.tls_certificate beside it"]),
        ("[http]\ntrusted_proxies = ['10.0.0.1/8']", ["http.trusted_proxies = '10.0.0.1/8'", "a network such as"]),
        ("[http]\nexternal_url = 'r.example'", ["http.external_url = 'r.example'", "http(s)://HOST[:PORT][/PATH]"]),
        ("[http]\nconnection_limit = 0", ["http.connection_limit = 0", "above 0"]),
        ("[http]\nclient_connection_limit = -1", ["http.client_connection_limit = -1", "0 (off) or a number above it"]),
        ("[http]\nclient_connection_limit = 1.5", ["http.client_connection_limit", "expected a whole number"]),
        ("[http]\nread_workers = 'many'", ["http.read_workers = 'many'", '"auto" for one less than there are cores']),
        ("[http]\nclient_requests_per_second = 'x'", ["http.client_requests_per_second", "expected a number"]),
        ("[http]\nclient_requests_per_second = nan", ["http.client_requests_per_second", "0 (off)"]),
    ],
)
def test_a_bad_setting_is_named_with_its_file_and_what_is_expected(tmp_path: Path, toml: str, parts: list[str]) -> None:
    message = refused(tmp_path, toml)
    for part in parts:
        assert part in message


def test_what_stands_before_the_application(tmp_path: Path) -> None:
    toml = """[http]
    tls_certificate = "c"
    tls_key = "k"
    tls_client_ca = "a"
    trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
    external_url = "https://r.example/x"
    client_connection_limit = 0
    client_requests_per_second = 0
    """
    settings = load(tmp_path, toml, {"CARGOHOLD_HTTP__CLIENT_REQUESTS_PER_SECOND": "0.5"}).http
    assert (settings.tls_certificate, settings.tls_key, settings.tls_client_ca) == ("c", "k", "a")
    assert settings.trusted_proxies == ["10.0.0.0/8", "::1", "unix"]
    assert settings.external_url == "https://r.example/x"
    assert (settings.client_connection_limit, settings.client_requests_per_second) == (0, 0.5)


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, environment={"CARGOHOLD_HTTP__DRAIN_SECONDS": "soon"})
    assert message == (
        "environment variable CARGOHOLD_HTTP__DRAIN_SECONDS: http.drain_seconds = 'soon': expected a number"
    )
    assert "unknown setting http.drain" in refused(tmp_path, environment={"CARGOHOLD_HTTP__DRAIN": "1"})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"gone\.toml: can't be read"):
        config.load(tmp_path / "gone.toml", {})


@pytest.mark.parametrize(
    "address", ["5000", ":5000", "host:", "host:x", "host:70000", "::1:5000", "[host]:1", "unix:", ""]
)
def test_an_address_has_a_form(tmp_path: Path, address: str) -> None:
    assert "expected HOST:PORT, [IPV6]:PORT or unix:PATH" in refused(tmp_path, listen=[address])
    if address:  # "" is none
        message = refused(tmp_path, environment={"CARGOHOLD_METRICS__LISTEN": address})
        assert f"metrics.listen = {address!r}: expected HOST:PORT" in message


def test_at_least_one_address(tmp_path: Path) -> None:
    assert "at least one address" in refused(tmp_path, listen=[])


@pytest.mark.parametrize(
    "address", ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000", "example.org:80", "127.evil.org:80"]
)
def test_an_open_registry_listens_beyond_this_machine_only_when_that_is_said(tmp_path: Path, address: str) -> None:
    assert 'set access.mode = "token"' in refused(tmp_path, listen=["127.0.0.1:5000", address])
    settings = load(tmp_path, '[access]\nmode = "open"', listen=[address])
    assert settings.listen == [address]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1", "unix:/run/x"])
def test_this_machine_needs_no_word(tmp_path: Path, address: str) -> None:
    assert load(tmp_path, listen=[address]).listen == [address]


def test_the_units_configuration_is_good() -> None:
    file = Path(__file__).parent.parent / "systemd/config.toml"
    settings, _ = config.load(file, {})
    assert settings.data == "/var/lib/cargohold"
    assert tomllib.loads(file.read_text())
