"""What systemd makes of the service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"

PROOF = """\
[Unit]
Requires=basic.target
After=basic.target
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /opt/guest.py /proof/outcomes
TimeoutStartSec=10min
"""

BOOT = """
mount -t tmpfs -o mode=755 tmpfs "$1/layer" && cp -a "$1/files" "$1/layer/files" && cd "$1/layer" && mkdir work root &&
mount -t overlay -o lowerdir=/,upperdir=files,workdir=work overlay root || exit 77
exec systemd-nspawn --quiet --directory=root --bind="$1/proof:/proof" --private-network --register=no --keep-unit \
    --console=read-only --machine=cargohold-test --boot systemd.unit=proof.service
"""


def reason_not_to() -> str | None:
    """Why no systemd can be booted here."""
    if os.geteuid() != 0:
        return "only root boots a systemd"
    missing = [name for name in ("systemd-nspawn", "unshare", PYTHON) if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    version = subprocess.run([PYTHON, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) != sys.version_info[:2]:
        return f"{PYTHON} is another Python than that of the tests, whose libraries it would use"
    return None


def lay_files(layer: Path) -> None:
    """The program below /opt, as from a wheel: the sandbox hides home directories and /tmp."""
    environment = layer / "opt/cargohold"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    packages = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    ignored = shutil.ignore_patterns("__editable__*", "mypy*", "ruff*", "hypothesis*")
    shutil.copytree(sysconfig.get_path("purelib"), packages, ignore=ignored, dirs_exist_ok=True)
    for source, target in (
        ("registry", "registry"),
        ("migrations", "registry/migrations"),
        ("systemd", "registry/units"),
    ):
        shutil.copytree(ROOT / source, packages / target, dirs_exist_ok=True)
    subprocess.run(
        [PYTHON, "-m", "compileall", "-q", packages / "registry"], check=True
    )  # the service can't write there
    script = environment / "bin/cargohold"
    script.write_text("#!/opt/cargohold/bin/python\nfrom registry.cli import main\nmain()\n")
    script.chmod(0o755)
    shutil.copy(Path(__file__).with_name("guest.py"), layer / "opt/guest.py")
    unit = layer / "etc/systemd/system/proof.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(PROOF)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    reason = reason_not_to()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("boot")
    for name in ("files", "layer", "proof"):
        (folder / name).mkdir(mode=0o755)
    lay_files(folder / "files")
    command = ["unshare", "--mount", "sh", "-c", BOOT, "sh", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False)
    if not (folder / "proof/outcomes").exists():
        pytest.skip(f"no systemd can be booted here: {done.stdout[-500:]} {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads((folder / "proof/outcomes").read_text())
    sys.stdout.write(f"{(folder / 'proof/outcomes.journal').read_text()[-20_000:]}\n{found}\n")
    return found


def test_it_is_installed_started_and_takes_a_push(outcomes: dict[str, Any]) -> None:
    assert outcomes["install"] == {
        "state": "active",
        "user": "cargohold",
        "push": 201,
        "pulled": True,
        "ready": 200,
    }


def test_reload_takes_good_settings_and_says_why_it_refuses_others(outcomes: dict[str, Any]) -> None:
    reload = outcomes["reload"]
    assert (reload["same_process"], reload["still"], reload["state"]) == (True, 405, "active")
    assert "unknown setting nonsense" in reload["status"]


def test_twenty_restarts_under_load_fail_no_request(outcomes: dict[str, Any]) -> None:
    assert outcomes["restart"]["failures"] == []
    assert outcomes["restart"]["processes"] == 20


def test_read_workers_live_in_the_sandbox_and_restarts_fail_no_request(outcomes: dict[str, Any]) -> None:
    assert outcomes["read_workers"] == {"workers": 2, "push": 201, "pulled": [True] * 6, "failures": []}


def test_the_timers_service_backs_up(outcomes: dict[str, Any]) -> None:
    assert outcomes["back_up"] == {"snapshots": 2, "links": [2, 2], "timer": "active"}


def test_a_killed_daemon_comes_back_for_who_waits(outcomes: dict[str, Any]) -> None:
    assert (outcomes["kill"]["status"], outcomes["kill"]["other_process"]) == (200, True)


def test_the_watchdog_ends_a_daemon_that_hangs_and_no_other(outcomes: dict[str, Any]) -> None:
    hang = outcomes["hang"]
    assert (hang["fed"], hang["status"], hang["restarts"]) == (True, 200, "1")


def test_without_a_network_it_serves_what_the_socket_unit_hands_over(outcomes: dict[str, Any]) -> None:
    assert outcomes["cut_off"] == {"status": 200, "own_network": True}


def test_it_stops_well(outcomes: dict[str, Any]) -> None:
    assert outcomes["stop"] == {"result": "success", "status": "0"}
