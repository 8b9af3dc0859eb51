"""Requests made by the real curl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tools.asgi import Reply
from tests.tools.content import digest_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from tests.clients.commands import Command
    from tests.tools.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Curl:
    """``curl`` towards one daemon."""

    command: Command
    daemon: Daemon

    def __call__(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request; a body is sent with its length."""
        fields = dict(headers or {})
        words = []
        if body is not None:
            fields.setdefault("Content-Type", "application/octet-stream")
            words = ["--data-binary", "@-"]
        return _parse(self.command(*words, *self._words(method, target, fields), body=body or b""))

    def start_patch(self, target: str) -> subprocess.Popen[bytes]:
        """Begin a PATCH whose body, in pieces of the transfer coding, is what is written to the process's input."""
        fields = {"Content-Type": "application/octet-stream"}
        return self.command.start("--upload-file", "-", *self._words("PATCH", target, fields))

    def push_blob(self, name: str, content: bytes) -> str:
        """Push in one request; the digest."""
        digest = digest_of(content)
        reply = self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
        assert reply.status == 201, reply
        return digest

    def push_manifest(self, name: str, reference: str, manifest: bytes) -> Reply:
        media_type = json.loads(manifest)["mediaType"]
        reply = self("PUT", f"/v2/{name}/manifests/{reference}", manifest, {"Content-Type": media_type})
        assert reply.status == 201, reply
        return reply

    def begin_upload(self, name: str) -> str:
        """Open a session; its location."""
        reply = self("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert reply.status == 202, reply
        return reply.headers["location"]

    def _words(self, method: str, target: str, fields: Mapping[str, str]) -> list[str]:
        headers = [word for name, value in fields.items() for word in ("--header", f"{name}: {value}")]
        verb = ["--head"] if method == "HEAD" else ["--request", method]
        return [*verb, *headers, f"http://{self.daemon.host}{target}"]


def _parse(printed: bytes) -> Reply:
    """What ``curl --include`` printed; interim answers come first."""
    status = 100
    while status < 200:
        head, _, printed = printed.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
    pairs = (line.partition(":") for line in lines[1:])
    return Reply(status, {name.lower(): value.strip() for name, _, value in pairs}, printed)
