"""The files for containers. No image can be pulled where the tests run: what can be said without one is said here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from registry import config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
CONTAINERFILE = (ROOT / "Containerfile").read_text()
COMPOSE = ROOT / "containers/compose.yaml"
QUADLET = ROOT / "containers/cargohold.container"
GENERATOR = Path("/usr/lib/systemd/system-generators/podman-system-generator")


def test_the_image_serves_with_settings_that_let_nobody_in_by_mistake() -> None:
    settings, _ = config.load(None, dict(re.findall(r"(CARGOHOLD_\w+)=(\S+)", CONTAINERFILE)))
    assert (settings.data, settings.access.mode) == ("/var/lib/cargohold", "token")
    assert settings.listen == ["0.0.0.0:5000"]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Podman takes 50 characters."""
    with tempfile.TemporaryDirectory(prefix="cargohold") as folder:
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs podman, and root")
def test_podman_builds_it_as_far_as_it_can_without_the_images(tmp_path: Path, short_path: Path) -> None:
    """On an empty image, without what runs in one and what comes of that."""
    text = re.sub(r"^FROM \S+", "FROM scratch", CONTAINERFILE, flags=re.MULTILINE)
    text = re.sub(r"^RUN (?:.*\\\n)*.*\n|^COPY --from=.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "Containerfile").write_text(text)
    podman: list[str | Path] = ["podman", "--root", short_path / "root", "--runroot", short_path / "run"]
    podman.append("--storage-driver=vfs")
    run([*podman, "build", "--tag=cargohold", tmp_path])
    [image] = json.loads(run([*podman, "image", "inspect", "cargohold"]))
    built = image["Config"]
    assert (built["Entrypoint"], built["Cmd"], built["User"]) == (["cargohold"], ["serve"], "5000:5000")
    assert (list(built["Volumes"]), list(built["ExposedPorts"])) == (["/var/lib/cargohold"], ["5000/tcp"])
    assert "CARGOHOLD_ACCESS__MODE=token" in built["Env"]


def run(command: list[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quadlet_file_names_what_the_image_has() -> None:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(QUADLET)
    container = parser["Container"]
    assert container["Volume"].endswith(":/var/lib/cargohold")
    assert container["PublishPort"] == "127.0.0.1:5000:5000"
    assert parser["Service"]["ExecReload"].endswith(f" systemd-{QUADLET.stem}")


KNOWN = {
    *("AddCapability", "AddDevice", "Annotation", "ContainerName", "DropCapability", "Environment", "EnvironmentFile"),
    *("EnvironmentHost", "Exec", "ExposeHostPort", "Group", "Image", "Label", "Network", "NoNewPrivileges", "Notify"),
    *("PodmanArgs", "PublishPort", "ReadOnly", "RunInit", "SeccompProfile", "Timezone", "User", "Volume"),
}
"""Keys of a container since podman 4.4. Source: podman-systemd.unit(5)."""


def test_the_quadlet_file_has_no_key_that_quadlet_does_not_know() -> None:
    keys = re.findall(
        r"^(\w+)=", QUADLET.read_text().partition("[Container]")[2].partition("[Service]")[0], re.MULTILINE
    )
    assert "Image" in keys
    assert set(keys) <= KNOWN


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_rest_of_the_quadlet_file(tmp_path: Path) -> None:
    """Without what Quadlet makes the command of."""
    text = re.sub(r"\[Container\]\n.*?(?=\[Service\])", "", QUADLET.read_text(), flags=re.DOTALL)
    unit = tmp_path / "cargohold.service"
    unit.write_text(text.replace("/usr/bin/podman", "/bin/true").replace("[Service]", "[Service]\nExecStart=/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "cargohold" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not GENERATOR.exists(), reason="podman has no Quadlet here (4.4 has)")
def test_quadlet_understands_it() -> None:
    environment = {**os.environ, "QUADLET_UNIT_DIRS": str(QUADLET.parent)}
    done = subprocess.run([GENERATOR, "--dryrun"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cargohold.service" in done.stdout


def test_the_compose_file_builds_the_image_and_keeps_its_data() -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    service = document["services"]["cargohold"]
    assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).read_text() == CONTAINERFILE
    assert service["volumes"] == [f"{name}:/var/lib/cargohold" for name in document["volumes"]]
    assert service["ports"] == ["127.0.0.1:5000:5000"]


def has_compose() -> bool:
    return (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
def test_compose_understands_its_file() -> None:
    command = ["docker", "compose", "--file", COMPOSE, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
