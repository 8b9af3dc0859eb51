"""The units, as systemd itself judges them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
NAMES = ("cargohold.service", "cargohold.socket", "cargohold-backup.service", "cargohold-backup.timer")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """With a program that is there: verify looks for it."""
    for name in NAMES:
        text = (UNITS / name).read_text().replace("/opt/cargohold/bin/cargohold", "/bin/true")
        (tmp_path / name).write_text(text)
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def exposure(unit: Path) -> float:
    """From 0, nothing that systemd could take away, to 10."""
    done = analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


@needs_systemd
def test_systemd_finds_nothing_wrong(units: Path) -> None:
    for name in NAMES:
        done = analyze("verify", "--man=no", units / name)
        assert [line for line in done.stderr.splitlines() if "cargohold" in line] == []
        assert done.returncode == 0, done.stderr


@needs_systemd
def test_what_an_intruder_could_reach_from_the_service(units: Path) -> None:
    assert exposure(units / "cargohold.service") <= 1.5
    assert exposure(units / "cargohold-backup.service") <= 1.5
    drop_ins = units / "cargohold.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "no-network.conf", drop_ins)
    assert exposure(units / "cargohold.service") <= 0.5


def test_no_number_of_failures_ends_it_for_good() -> None:
    assert "\nStartLimitIntervalSec=0\n" in (UNITS / "cargohold.service").read_text()
    assert "\nTriggerLimitIntervalSec=0\n" in (UNITS / "cargohold.socket").read_text()


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
def test_its_user_and_its_folders(tmp_path: Path) -> None:
    for folder in ("etc", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(UNITS / "cargohold.sysusers", tmp_path / "usr/lib/sysusers.d/cargohold.conf")
    shutil.copy(UNITS / "cargohold.tmpfiles", tmp_path / "usr/lib/tmpfiles.d/cargohold.conf")
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create", "cargohold.conf"]):
        done = subprocess.run([*command, f"--root={tmp_path}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    name, _, number, *_, home, shell = (tmp_path / "etc/passwd").read_text().splitlines()[-1].split(":")
    assert (name, home, shell) == ("cargohold", "/var/lib/cargohold", "/usr/sbin/nologin")
    assert (tmp_path / "var/lib/cargohold").stat().st_uid == int(number)
    assert (tmp_path / "var/lib/cargohold").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var/lib/cargohold-backup").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "etc/cargohold").stat().st_mode & 0o777 == 0o750
