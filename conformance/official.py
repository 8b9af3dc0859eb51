"""Running the official suite, as a binary that the user built or as its container image."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from conformance.outcome import OfficialResult

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.auth import Credentials

PROFILES: Final = ("stable", "dev")
_TIMEOUT_SECONDS: Final = 900
_SWITCHES: Final = {"stable": (), "dev": ("OCI_DATA_SPARSE=true",)}
"""What the profile leaves off by itself and can be turned on."""

_STATUSES: Final = {"passed": "passed", "failure": "failed", "skipped": "skipped", "error": "error"}


class OfficialFailed(Exception):
    """The suite did not run to its end."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Either ``binary`` or ``image``."""

    binary: Path | None = None
    image: str | None = None

    def command(self, environment: dict[str, str], folder: Path) -> list[str]:
        if self.image is None:
            return [str(self.binary)]
        podman = shutil.which("podman")
        if podman is None:
            raise OfficialFailed("--official-image needs podman, which is not installed")
        variables = [argument for name in environment for argument in ("--env", name)]
        mount = f"{folder}:{environment['OCI_RESULTS_DIR']}"
        return [podman, "run", "--rm", "--network=host", "--volume", mount, *variables, self.image]


def run_profile(
    suite: Suite, profile: str, url: str, credentials: Credentials | None, folder: Path, *, insecure: bool
) -> OfficialResult:
    """Run one profile; its reports stay in ``folder``. Raises OfficialFailed."""
    folder = folder.absolute() / f"official-{profile}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = _environment(profile, url, credentials, insecure=insecure)
    environment["OCI_RESULTS_DIR"] = str(folder) if suite.image is None else "/results"
    started = time.monotonic()
    with (folder / "output.txt").open("wb") as output:
        try:
            subprocess.run(  # noqa: S603 (what the user named)
                suite.command(environment, folder),
                env={**os.environ, **environment},
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT_SECONDS,
                check=False,  # it exits with 1 on a failure, which its report tells
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OfficialFailed(f"the official suite can't be run: {error}") from None
    return OfficialResult(profile, _SWITCHES[profile], _count(folder), time.monotonic() - started, folder)


def _environment(profile: str, url: str, credentials: Credentials | None, *, insecure: bool) -> dict[str, str]:
    parts = urlsplit(url)
    prefix = f"conformance/{os.urandom(4).hex()}"
    environment = {
        "OCI_REGISTRY": parts.netloc,
        "OCI_TLS": "disabled" if parts.scheme == "http" else "insecure" if insecure else "enabled",
        "OCI_VERSION": profile,
        "OCI_REPO1": f"{prefix}/one",
        "OCI_REPO2": f"{prefix}/two",
    }
    environment |= dict(switch.split("=", 1) for switch in _SWITCHES[profile])
    if credentials is not None:
        environment |= {"OCI_USERNAME": credentials.user, "OCI_PASSWORD": credentials.password}
    return environment


def _count(folder: Path) -> Counter[str]:
    """Its single tests. (Its own totals also count the groups that they stand in.)"""
    report = folder / "junit.xml"
    if not report.exists():
        raise OfficialFailed(f"the official suite wrote no junit.xml; see {folder / 'output.txt'}")
    root = ET.parse(report).getroot()  # noqa: S314 (from a program that the user chose to run)
    counts = Counter(_STATUSES.get(str(test.get("status")), "error") for test in root.iter("testcase"))
    counts["disabled"] = int(root.get("disabled", 0))
    counts["skipped"] -= counts["disabled"]  # there they have the same status
    return counts


def with_switches(result: OfficialResult, *more: str) -> OfficialResult:
    """The result, with what was switched on in the registry itself."""
    return replace(result, switches=(*result.switches, *more))
