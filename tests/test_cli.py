"""The command line as its users see it."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from registry import cli
from tests.tools.daemon import running

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "registry"]


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.main, arguments, env=environment, prog_name="cargohold")
    return result.exit_code, result.output


def test_version() -> None:
    code, output = run("version")
    assert (code, output.split()[0]) == (0, "cargohold")
    assert output.split()[1][0].isdigit()


def test_check_says_whether_the_settings_are_good(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[http]\ndrain_seconds = 5")
    assert run("config", "check", "--config", str(file)) == (0, "the settings are good\n")
    file.write_text("[http]\ndrain = 5")
    code, output = run("config", "check", "--config", str(file))
    assert code == 2
    assert output.startswith(f"cargohold: {file}: unknown setting http.drain; there are data, listen, access.audit")


def test_show_prints_every_setting_and_its_source(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[http]\ndrain_seconds = 5")
    code, output = run(
        "config", "show", "--config", str(file), "--listen", "127.0.0.1:1", "--listen", "[::1]:2", CARGOHOLD_DATA="/x"
    )
    assert code == 0
    assert 'data = "/x"  # environment variable CARGOHOLD_DATA\n' in output
    assert 'listen = ["127.0.0.1:1", "[::1]:2"]  # command line\n' in output
    assert f"http.drain_seconds = 5.0  # {file}\n" in output
    assert "delete.enabled = true  # default\n" in output


@pytest.mark.parametrize("arguments", [["serve", "--nonsense"], ["nonsense"], ["config"], ["serve", "--listen", "x"]])
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


def test_an_open_registry_does_not_start_beyond_this_machine(tmp_path: Path) -> None:
    code, output = run("serve", "--data", str(tmp_path), "--listen", "0.0.0.0:0")
    assert code == 2
    assert 'set access.mode = "token"' in output
    assert list(tmp_path.iterdir()) == []


def test_one_daemon_per_data_folder(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        second = subprocess.run(
            [*COMMAND, "serve", "--data", daemon.data, "--listen", "127.0.0.1:0"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert second.stderr.startswith(
            f"cargohold: {daemon.data} is in use by another daemon (pid {daemon.process.pid})"
        )
        assert daemon.request("GET", "/v2/")[0] == 200


def test_an_address_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        second = subprocess.run(
            [*COMMAND, "serve", "--data", tmp_path / "other", "--listen", daemon.host],
            capture_output=True,
            text=True,
            check=False,
        )
    assert second.returncode == 1
    assert f"cargohold: can't listen on {daemon.host}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_data_folder_that_can_not_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/registry.db").write_text("this is no database, whatever its name says")
    for folder, why in (
        ("file/data", "Not a directory; make it a folder that this user owns"),
        ("file", "make it a folder that this user owns"),
        ("data", "registry.db can't be opened: file is not a database"),
    ):
        done = subprocess.run(
            [*COMMAND, "serve", "--data", tmp_path / folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("cargohold: ")
        assert str(tmp_path / folder) in done.stderr
        assert why in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_database_that_is_damaged_is_said_in_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
        database.execute("CREATE TABLE _sqlite_migrations (migration_set, name, applyed_at)")
        database.execute("INSERT INTO _sqlite_migrations VALUES ('cargohold', '0001_core', '')")
        database.commit()
    done = subprocess.run([*COMMAND, "serve", "--data", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cargohold: the database is damaged: its table _sqlite_migrations has no column")
    assert done.stderr.count("\n") == 1


def test_on_a_terminal_it_says_where_everything_is_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"],
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    )
    os.close(terminal)
    shown = b""
    while shown.count(b"\n") < 3:
        shown += os.read(controller, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(controller)
    lines = shown.decode().splitlines()
    assert lines[0].startswith("Cargohold listens on 127.0.0.1:")
    assert lines[1] == f"Everything is kept in {tmp_path}/data"
    assert "podman push --tls-verify=false" in lines[2]
    assert lines[0].split()[-1] in lines[2]
