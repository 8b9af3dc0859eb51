"""What README tells a new user to type."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.clients.commands import Command, needs
from tests.test_readme import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.daemon import Daemon


@needs("podman")
@needs("skopeo")
@needs("curl")
def test_push_and_pull_as_readme_says(
    daemon: Daemon, podman: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text("content")
    (context / "Containerfile").write_text("FROM scratch\nCOPY file /file\n")
    podman("build", "--tag", "localhost/app:1", context)
    script = blocks("Push and pull", "sh")[0].replace("127.0.0.1:5000", daemon.host)
    done = subprocess.run(
        ["bash", "-euxc", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('{"repositories":["team/app"]}')
    assert daemon.request("GET", "/v2/team/app/tags/list")[2] == b'{"name":"team/app","tags":[]}'
