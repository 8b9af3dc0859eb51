"""No password, secret, token or Authorization is ever in a log or in the audit of a real daemon."""

from __future__ import annotations

import base64
import json
import signal
import socket
import sqlite3
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import bcrypt
import pytest

from tests.http.access_columns import basic, bearer
from tests.test_accounts import said
from tests.tools.daemon import Daemon
from tests.tools.jwts import AUDIENCE, ISSUER, claims, key_set, make, signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = signer("external", "P-256")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FAULTY = "faulty"

PROGRAM = """
import sys
from pathlib import Path
from registry import cli, journal
from registry.service.passwords import Passwords
journal.SOCKET = Path(sys.argv.pop(1))
check = Passwords.check
async def fail(self, address, name, password):
    if name == "faulty":
        raise LookupError(name)
    return await check(self, address, name, password)
Passwords.check = fail
cli.main()
"""
"""The daemon with another socket of the journal, and with a fault where a password is in the locals of all frames."""

CONFIG = """
[access]
htpasswd = "{folder}/htpasswd"
token_seconds = {seconds}
[[access.issuers]]
name = "ci"
issuer = "{issuer}"
audience = "{audience}"
keys = "{folder}/keys.json"
algorithms = ["ES256"]
[[access.issuers.rules]]
claims = {{ repository = "acme/*" }}
groups = ["builders"]
"""


class Secrets:
    """What must not be found, in all forms in which it came."""

    def __init__(self) -> None:
        self.forms: set[str] = set()
        self._count = 0

    def make(self, kind: str) -> str:
        self._count += 1
        return self.add(f"{kind} pass{self._count}word+/=%")

    def add(self, secret: str) -> str:
        self.forms |= {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
        self.forms |= {_base64(secret), base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
        return secret

    def basic(self, name: str, secret: str) -> dict[str, str]:
        self.forms.add(_base64(f"{name}:{self.add(secret)}"))
        return basic(name, secret)

    def leaks(self, text: str) -> list[str]:
        return sorted(form for form in self.forms if form in text)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


class Journal:
    """Takes what comes, in a thread: a socket of datagrams holds only a few."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.entries: list[bytes] = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        self._path = path

    def _take(self) -> None:
        while entry := self._socket.recv(1 << 20):
            self.entries.append(entry)

    def end(self) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self._path))
        self._thread.join()
        self._socket.close()
        return b"".join(self.entries).decode(errors="replace")


class Watched(Daemon):
    """A daemon with a socket that is handed over, so that its port stands in no log that would have to be read."""

    def __init__(self, folder: Path, mode: str, form: str) -> None:
        settings = {"LOG__FORMAT": form, "LOG__LEVEL": "debug", "ACCESS__MODE": mode}
        super().__init__(folder / "data", {f"CARGOHOLD_{name}": value for name, value in settings.items()})
        self._folder = folder
        self.secrets = Secrets()
        self.journal = Journal(folder / "journal")
        self.program = [sys.executable, "-c", PROGRAM, str(folder / "journal")]
        self.arguments = ["--config", str(folder / "config.toml")]
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        self.configure(300)

    def configure(self, token_seconds: float) -> None:
        text = CONFIG.format(folder=self._folder, seconds=token_seconds, issuer=ISSUER, audience=AUDIENCE)
        (self._folder / "config.toml").write_text(text)

    def _listening_lines(self) -> list[dict[str, Any]]:
        return [{"addresses": [f"127.0.0.1:{self.sockets[0].getsockname()[1]}"]}]

    def ask(self, headers: dict[str, str], target: str = "/v2/", body: str | None = None) -> tuple[int, dict[str, Any]]:
        method, content = ("GET", b"") if body is None else ("POST", body.encode())
        status, _, answer = self.request(method, target, content, headers)
        document = json.loads(answer)
        for name in ("token", "refresh_token"):
            if name in document:
                self.secrets.add(document[name])
        return status, document


@pytest.fixture(params=["human", "json", "logfmt", "journal"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["basic", "token"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest, form: str) -> Iterator[Watched]:
    daemon = Watched(tmp_path, request.param, form)
    stored = bcrypt.hashpw(daemon.secrets.make("file").encode(), bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"helen:{stored}\n")
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    daemon.start()
    yield daemon
    if daemon.process.poll() is None:
        daemon.kill()
        daemon.journal.end()
    daemon.sockets[0].close()


def test_none_is_written_down(daemon: Watched, form: str) -> None:
    with_passwords(daemon)
    with_robots(daemon)
    with_external_tokens(daemon)
    in_odd_places(daemon)
    with_faults(daemon)
    if daemon._settings["CARGOHOLD_ACCESS__MODE"] == "token":
        with_tokens(daemon)
    assert daemon.stop() == 0
    entries = daemon.journal.end()
    text = daemon.log.read_text() + entries
    assert daemon.secrets.leaks(text) == []
    for expected in ("request", "login failed", "ghost", "LookupError", "/v2/"):
        assert expected in text
    assert bool(entries) == (form == "journal")
    if form != "human":
        assert text.lower().count("traceback") == 2 or form == "json"
    audited = repr(rows(daemon.data / "registry.db"))
    assert daemon.secrets.leaks(audited) == []
    assert "ghost" in audited


def rows(database: Path) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute("SELECT * FROM audit").fetchall()
    finally:
        connection.close()


def with_passwords(daemon: Watched) -> None:
    secrets = daemon.secrets
    first, second = secrets.make("first"), secrets.make("second")
    said(daemon.data, "user", "add", "alice", "--password-stdin", stdin=f"{first}\n")
    assert daemon.ask(secrets.basic("alice", first))[0] == 200
    said(daemon.data, "user", "password", "alice", "--password-stdin", stdin=f"{second}\n")
    assert [daemon.ask(secrets.basic("alice", each))[0] for each in (first, second)] == [401, 200]
    assert daemon.ask(secrets.basic("ghost", secrets.make("wrong")))[0] == 401
    in_file = (next(form for form in secrets.forms if form.startswith("file pass")), secrets.make("wrong"))
    assert [daemon.ask(secrets.basic("helen", each))[0] for each in in_file] == [200, 401]


def with_robots(daemon: Watched) -> None:
    secrets = daemon.secrets
    old = secrets.add(said(daemon.data, "robot", "add", "ci", "--scope", "**:pull").strip())
    assert daemon.ask(secrets.basic("ci", old))[0] == 200
    new = secrets.add(said(daemon.data, "robot", "rotate", "ci").strip())
    assert [daemon.ask(secrets.basic("ci", each))[0] for each in (old, new, f"{new}x")] == [401, 200, 401]
    assert daemon.ask(bearer(new))[0] == 200
    assert daemon.ask(basic(new, "x"))[0] == 401  # in the wrong field


def with_external_tokens(daemon: Watched) -> None:
    good = make(KEY, "ES256")
    expired = make(KEY, "ES256", claims(exp=int(time.time()) - 3600))
    forged = make(signer("other", "P-256"), "ES256")
    for token, status in ((good, 200), (expired, 401), (forged, 401)):
        assert daemon.ask(bearer(daemon.secrets.add(token)))[0] == status
        assert daemon.ask(daemon.secrets.basic("ci", token))[0] == status
    assert daemon.ask(basic(forged, "x"))[0] == 401


def in_odd_places(daemon: Watched) -> None:
    """Where nobody asks for them: broken headers, other headers, queries, the authority of an absolute target."""
    secret = daemon.secrets.make("odd")
    encoded = quote(secret, safe="")
    for value in (f"Basic {secret}", f"Token {secret}", f"Basic {_base64(secret)}", f"Bearer {secret}", secret):
        assert daemon.ask({"Authorization": value})[0] == 401
    for name in ("Proxy-Authorization", "X-Registry-Auth", "Cookie", "X-Forwarded-For", "User-Agent", "Referer"):
        daemon.ask({name: secret})
    for target in ("/v2/", "/token", "/v2/a/tags/list", "/v2/a/manifests/x", "/metrics", "/nothing", "/ready"):
        daemon.request("GET", f"{target}?access_token={encoded}&token={encoded}&account=alice&password={encoded}")
        daemon.request("GET", f"http://alice:{encoded}@{daemon.host}{target}", headers={"Host": daemon.host})
    daemon.request("GET", "/v2/", headers={"Authorization": f"Basic {encoded}", "Content-Length": "x"})
    daemon.request("POST", f"/token?password={encoded}", urlencode({"password": secret}).encode(), FORM)


def with_faults(daemon: Watched) -> None:
    """A traceback goes through frames that hold the password, the header and the request."""
    assert daemon.ask(daemon.secrets.basic(FAULTY, daemon.secrets.make("in locals")))[0] == 500
    form = {"grant_type": "password", "username": FAULTY, "password": daemon.secrets.make("in locals")}
    if daemon._settings["CARGOHOLD_ACCESS__MODE"] == "token":
        assert daemon.ask(FORM, "/token", urlencode(form))[0] == 500
    else:
        assert daemon.ask(daemon.secrets.basic(FAULTY, form["password"]), "/v2/a/tags/list")[0] == 500


def with_tokens(daemon: Watched) -> None:
    secrets = daemon.secrets
    password = secrets.make("third")
    said(daemon.data, "user", "password", "alice", "--password-stdin", stdin=f"{password}\n")
    scope = "service=x&scope=repository:a:pull"
    _, first = daemon.ask(secrets.basic("alice", password), f"/token?{scope}&offline_token=true")
    form = {"grant_type": "password", "username": "alice", "password": password, "access_type": "offline"}
    _, second = daemon.ask(FORM, f"/token?{scope}", urlencode(form))
    renewal = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    _, third = daemon.ask(FORM, "/token", urlencode(renewal))
    tokens = [each["token"] for each in (first, second, third)]
    assert [daemon.ask(bearer(each))[0] for each in tokens] == [200] * 3
    assert daemon.ask(bearer(second["refresh_token"]))[0] == 401
    for wrong in ({**form, "password": secrets.make("wrong")}, {**renewal, "refresh_token": secrets.make("wrong")}):
        assert daemon.ask(FORM, "/token", urlencode(wrong))[0] == 401
    for name in (tokens[0], f"robot:{second['refresh_token']}"):
        assert daemon.ask(FORM, "/token", urlencode({**form, "username": name}))[0] == 401
    expire(daemon, secrets.basic("alice", password))
    said(daemon.data, "user", "remove", "alice")
    assert daemon.ask(bearer(tokens[0]))[0] == 401
    assert daemon.ask(FORM, "/token", urlencode(renewal))[0] == 401


def expire(daemon: Watched, login: dict[str, str]) -> None:
    """With settings that a reload has brought, tokens live for a millisecond."""
    daemon.configure(0.001)
    daemon.process.send_signal(signal.SIGHUP)
    expired = 0
    while not expired:
        _, issued = daemon.ask(login, "/token")
        expired = issued["expires_in"] < 300 and daemon.ask(bearer(issued["token"]))[0] == 401


def test_a_leak_would_be_found() -> None:
    secrets = Secrets()
    secret = secrets.make("some")
    header = secrets.basic("alice", secret)["Authorization"]
    for text in (secret, header, quote(secret), json.dumps({"a": secret}), repr(secret), _base64(secret)):
        assert secrets.leaks(f"level=info event=x value={text} more\n")
    assert not secrets.leaks("level=info event=x name=alice")
