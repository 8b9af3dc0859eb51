"""``cargohold install-service``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from registry.service_files import _quoted

SYSTEM = "etc/systemd/system"
FILES = {
    f"{SYSTEM}/cargohold.service",
    f"{SYSTEM}/cargohold.socket",
    f"{SYSTEM}/cargohold-backup.service",
    f"{SYSTEM}/cargohold-backup.timer",
    "etc/cargohold/config.toml",
    "etc/sysusers.d/cargohold.conf",
    "etc/tmpfiles.d/cargohold.conf",
}


def install(prefix: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "registry", "install-service", "--prefix", str(prefix), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files(prefix: Path) -> dict[str, Path]:
    return {str(path.relative_to(prefix)): path for path in prefix.rglob("*") if path.is_file()}


def outcomes(done: subprocess.CompletedProcess[str], prefix: Path) -> dict[str, str]:
    """What became of each file, by its path below the prefix."""
    assert done.returncode == 0, done.stderr
    lines = [line.partition(": ") for line in done.stdout.splitlines() if line.startswith(str(prefix))]
    return {str(Path(path).relative_to(prefix)): outcome for path, _, outcome in lines}


def test_the_files_stand_where_systemd_looks_for_them(tmp_path: Path) -> None:
    done = install(tmp_path)
    assert outcomes(done, tmp_path) == dict.fromkeys(FILES, "new")
    found = files(tmp_path)
    assert found.keys() == FILES
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o644}
    assert "systemctl enable --now cargohold.socket cargohold.service" in done.stdout
    assert "systemctl enable --now cargohold-backup.timer" in done.stdout


def test_the_unit_starts_the_program_that_installed_it(tmp_path: Path) -> None:
    install(tmp_path)
    lines = files(tmp_path)[f"{SYSTEM}/cargohold.service"].read_text().splitlines()
    [line] = [line for line in lines if line.startswith("ExecStart=")]
    program = Path(sysconfig.get_path("scripts"), "cargohold")
    assert line == f"ExecStart={program} serve --config /etc/cargohold/config.toml"
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cargohold ")


def test_a_changed_configuration_stays_and_a_unit_is_replaced(tmp_path: Path) -> None:
    install(tmp_path)
    found = files(tmp_path)
    found["etc/cargohold/config.toml"].write_text("# mine\n")
    unit = found[f"{SYSTEM}/cargohold.service"]
    written = unit.read_text()
    unit.write_text("# of an older version\n")
    expected = {
        **dict.fromkeys(FILES, "unchanged"),
        "etc/cargohold/config.toml": "kept as it is",
        f"{SYSTEM}/cargohold.service": "replaced",
    }
    assert outcomes(install(tmp_path, "--dry-run"), tmp_path) == expected
    assert unit.read_text() == "# of an older version\n"
    assert outcomes(install(tmp_path), tmp_path) == expected
    assert unit.read_text() == written
    assert found["etc/cargohold/config.toml"].read_text() == "# mine\n"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    assert outcomes(install(tmp_path, "--dry-run"), tmp_path) == dict.fromkeys(FILES, "new")
    assert list(tmp_path.iterdir()) == []


def test_a_service_without_a_network_has_a_drop_in_more(tmp_path: Path) -> None:
    drop_in = f"{SYSTEM}/cargohold.service.d/no-network.conf"
    assert outcomes(install(tmp_path, "--no-network"), tmp_path)[drop_in] == "new"
    assert "\nPrivateNetwork=yes\n" in files(tmp_path)[drop_in].read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the owner of a process")
def test_who_may_not_write_there_is_told_in_one_line(tmp_path: Path) -> None:
    command = ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", sys.executable, "-m", "registry"]
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip("another user can't run this program here")
    done = subprocess.run(
        [*command, "install-service", "--prefix", target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("cargohold: [Errno 13] Permission denied")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_what_was_installed(tmp_path: Path) -> None:
    install(tmp_path, "--no-network")
    for name in ("cargohold.service", "cargohold.socket"):
        command = ["systemd-analyze", "verify", "--man=no", tmp_path / SYSTEM / name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "cargohold" in line]) == (0, [])


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/opt/cargohold/bin/cargohold", "/opt/cargohold/bin/cargohold"),
        ("/opt/a b/cargohold", '"/opt/a b/cargohold"'),
        ("/opt/50%/cargohold", "/opt/50%%/cargohold"),
        ('/opt/"x"/cargohold', '"/opt/\\"x\\"/cargohold"'),
    ],
)
def test_a_path_is_written_as_a_unit_has_it(word: str, quoted: str) -> None:
    assert _quoted(word) == quoted
