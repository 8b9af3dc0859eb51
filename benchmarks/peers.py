"""The registries that are measured: this one, and others where they are installed.

Each runs as it comes: with the configuration that it documents first, files below one folder, deletes off where they
have a switch, and its log in a file.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DISTRIBUTION = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {data}
http:
  addr: 127.0.0.1:{port}
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
"""What both versions of distribution come with, but for the address. Source: cmd/registry/config-example.yml."""

_ZOT = """{
  "distSpecVersion": "1.1.1",
  "storage": {"rootDirectory": "{data}"},
  "http": {"address": "127.0.0.1", "port": "{port}"},
  "log": {"level": "info"}
}
"""
"""Source: zotregistry.dev, "Configuring zot"."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A registry to start. ``{data}``, ``{port}`` and ``{config}`` are filled in, in each of these.

    ``program`` is what is looked for, and the first word of the command; ``config`` the content of the file that
    ``{config}`` names.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    version: tuple[str, ...] = ("--version",)
    config: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, data: Path, port: int, config: Path) -> list[str]:
        return [fill(word, data, port, config) for word in (self.program, *self.arguments)]

    def ask_version(self) -> str:
        """The first line that it says about itself; where it stands on this machine is nobody's business."""
        try:
            done = subprocess.run(
                [self.program, *self.version], capture_output=True, text=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
        lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
        return lines[0].replace(self.program, self.name) if lines and not done.returncode else "unknown"


def fill(text: str, data: Path, port: int, config: Path) -> str:
    """The text with what is known now; any other brace stays."""
    for word, value in (("{data}", data), ("{port}", port), ("{config}", config)):
        text = text.replace(word, str(value))
    return text


OURS = Peer(
    "cargohold",
    sys.executable,
    ("-m", "registry", "serve", "--data", "{data}", "--listen", "127.0.0.1:{port}"),
    ("-m", "registry", "version"),
    environment={"CARGOHOLD_LOG__FORMAT": "json"},
)

KNOWN = (
    Peer("docker-registry", "docker-registry", ("serve", "{config}"), config=_DISTRIBUTION),
    Peer(
        "distribution",
        "registry",
        ("serve", "{config}"),
        config=_DISTRIBUTION,
        environment={"OTEL_TRACES_EXPORTER": "none"},  # else it sends traces to a collector that isn't there
    ),
    Peer("zot", "zot", ("serve", "{config}"), config=_ZOT),
    Peer("olareg", "olareg", ("serve", "--addr", "127.0.0.1", "--port", "{port}", "--dir", "{data}"), ("version",)),
    Peer(
        "ferro",
        "ferro-oci-server",
        (),
        environment={"FERRO_OCI_LISTEN": "127.0.0.1:{port}", "FERRO_OCI_STORAGE_DIR": "{data}"},
    ),
)
"""In the order of the table. Debian's package and ``go install`` call the same registry by two names."""


class UnknownPeer(Exception):
    """The command line names a registry of which it isn't known how to start it; the message says what to write."""


def find(named: Sequence[str], path: str | None = None) -> list[Peer]:
    """Those known that are on the path (or where ``go install`` puts them), then those named. Raises UnknownPeer.

    A name of the command line is ``NAME=PROGRAM`` for one that is known, ``NAME=COMMAND`` with ``{port}`` for any
    other; it takes the place of one that was found under this name.
    """
    path = search_path() if path is None else path
    found = {}
    for peer in KNOWN:
        if program := shutil.which(peer.program, path=path):
            found[peer.name] = replace(peer, program=program)
    for text in named:
        peer = parse(text)
        found[peer.name] = peer
    return list(found.values())


def search_path() -> str:
    """PATH, and the folders of ``go install``."""
    folders = [os.environ.get("PATH", ""), os.environ.get("GOBIN", ""), str(Path.home() / "go/bin")]
    return os.pathsep.join(each for each in folders if each)


def parse(text: str) -> Peer:
    """One ``--peer``. Raises UnknownPeer."""
    name, _, command = text.partition("=")
    words = shlex.split(command)
    if name in {"", OURS.name} or not words:
        raise UnknownPeer(f"{text!r}: expected NAME=PROGRAM or NAME=COMMAND, with a name other than {OURS.name}")
    if "{port}" in command:
        return Peer(name, words[0], tuple(words[1:]))
    known = {peer.name: peer for peer in KNOWN}
    if name not in known or len(words) > 1:
        raise UnknownPeer(
            f"{text!r}: only of {', '.join(known)} it is known how they are started; "
            f"of others, give the whole command, with {{data}} and {{port}}"
        )
    if shutil.which(words[0]) is None:
        raise UnknownPeer(f"{text!r}: there is no such program")
    return replace(known[name], program=words[0])
