"""The native protocol of the journal, spoken to a real socket; and when it is spoken at all."""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from registry import journal, logs, request_log
from registry.config import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def parse(entry: bytes) -> dict[str, str]:
    """The fields of an entry, by both of their forms."""
    fields = {}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, separator, value = line.partition(b"=")
        if not separator:
            size = int.from_bytes(entry[:8], "little")
            value, end, entry = entry[8 : 8 + size], entry[8 + size : 9 + size], entry[9 + size :]
            assert end == b"\n"
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


class Listener:
    """As systemd-journald listens: an entry is a datagram, or the file whose descriptor an empty one holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(30)

    def receive(self) -> dict[str, str]:
        entry, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if ancillary:
            [(_, _, data)] = ancillary
            [descriptor] = array.array("i", data)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                entry = file.read()
                with pytest.raises(PermissionError):  # sealed
                    os.truncate(descriptor, 0)
        return parse(entry)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listener = Listener(tmp_path / "journal")
    monkeypatch.setattr(journal, "SOCKET", listener.path)
    logs.set_up(LogSettings(format="journal"))
    with listener.socket:
        yield listener
    structlog.reset_defaults()
    request_log.requests.write = request_log.through_structlog


def test_an_entry_has_a_message_for_people_and_fields_for_questions(listener: Listener) -> None:
    structlog.get_logger().info("request", path="/v2/\n\x1b]0;x", status=500, repository=None, request_id="a-1")
    assert listener.receive() == {
        "MESSAGE": r'request path="/v2/\n\u001b]0;x" status=500 request_id=a-1',
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "cargohold",
        "CARGOHOLD_EVENT": "request",
        "PATH": "/v2/\n\x1b]0;x",
        "STATUS": "500",
        "REQUEST_ID": "a-1",
    }


def test_the_short_way_of_a_request_leads_to_the_same_entry(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(request_log, "log", structlog.get_logger())
    values = ("GET", "/v2/\n\x1b]0;x\udcff", "é", None, None, 200, 0, 1e-06, "unix", "a-1")
    for write in (request_log.requests.write, request_log.through_structlog):
        write("info", values)
        write("debug", values)
    assert listener.receive() == listener.receive()
    listener.path.unlink()
    logs.set_up(LogSettings(format="journal"))
    monkeypatch.setattr(request_log, "log", structlog.get_logger())
    request_log.requests.write("info", values)
    request_log.through_structlog("info", values)
    [short, long] = capfd.readouterr().err.splitlines()
    assert short == long


def test_a_value_makes_no_field(listener: Listener) -> None:
    structlog.get_logger().warning("x", value="1\nPRIORITY=0\n\nMESSAGE\n", other=["\udcff", "é"], message="y")
    found = listener.receive()
    assert (found["PRIORITY"], found["VALUE"]) == ("4", "1\nPRIORITY=0\n\nMESSAGE\n")
    assert found["OTHER"] == '["?", "é"]'
    assert found["MESSAGE"].startswith("x value=")


def test_a_traceback_is_part_of_the_message(listener: Listener) -> None:
    try:
        int("\x1b[31m")
    except ValueError:
        structlog.get_logger().exception("fault", request_id="a-1")
    found = listener.receive()
    first, *rest = found["MESSAGE"].splitlines()
    assert (first, found["PRIORITY"]) == ("fault request_id=a-1", "3")
    assert rest[0] == "    Traceback (most recent call last):"
    assert "ValueError" in rest[-1]
    assert "EXCEPTION" not in found
    assert found["MESSAGE"].replace("\n", "").isprintable()


def test_what_no_datagram_holds_arrives(listener: Listener) -> None:
    structlog.get_logger().error("long", value="é" * 2_000_000)
    assert listener.receive()["VALUE"] == "é" * 2_000_000


def test_without_a_journal_the_line_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str], listener: Listener
) -> None:
    listener.path.unlink()
    logs.set_up(LogSettings(format="journal"))
    structlog.get_logger().error("alone", value="a b")
    assert capfd.readouterr().err == 'level=error event=alone value="a b"\n'


def test_other_formats_follow_on_a_reload(capfd: pytest.CaptureFixture[str], listener: Listener) -> None:
    logs.set_up(LogSettings(format="journal"))
    log = structlog.get_logger()
    log.info("one")
    logs.set_up(LogSettings(format="logfmt"))
    log.info("two")
    logs.set_up(LogSettings(format="journal"))
    log.info("three")
    assert [listener.receive()["MESSAGE"] for _ in range(2)] == ["one", "three"]
    assert capfd.readouterr().err.endswith("level=info event=two\n")


ASK = "import sys; from registry import journal; sys.exit(journal.is_standard_error())"


@pytest.mark.parametrize(("stream", "expected"), [("same", 1), ("other inode", 0), ("", 0), ("nonsense", 0)])
def test_standard_error_is_the_journal_where_device_and_inode_say_so(stream: str, expected: int) -> None:
    """Both ends of a pair look alike here: the journal's end is a socket of the file system of sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        value = {"same": f"{found.st_dev}:{found.st_ino}", "other inode": f"{found.st_dev}:{found.st_ino + 1}"}
        environment = {**os.environ, "JOURNAL_STREAM": value.get(stream, stream)}
        done = subprocess.run([sys.executable, "-c", ASK], stderr=theirs, env=environment, check=False)
    assert done.returncode == expected


def test_auto_uses_it(listener: Listener) -> None:
    """In a process whose standard error is what JOURNAL_STREAM names."""
    program = (
        "import sys; from pathlib import Path; from registry import journal, logs; import structlog;"
        "from registry.config import LogSettings; journal.SOCKET = Path(sys.argv[1]);"
        "logs.set_up(LogSettings()); structlog.get_logger().info('here')"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        command = [sys.executable, "-c", program, str(listener.path)]
        subprocess.run(command, stderr=theirs, env=environment, check=True)
    assert listener.receive()["CARGOHOLD_EVENT"] == "here"
