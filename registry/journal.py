"""Entries for the journal of systemd, with fields, by its native protocol.

Source: systemd, "Native Journal Protocol"; systemd.journal-fields(7); systemd.exec(5), ``$JOURNAL_STREAM``.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = Path("/run/systemd/journal/socket")

_TOO_LARGE = frozenset({errno.EMSGSIZE, errno.ENOBUFS})

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
"""What the journal asks of a file that it maps: nobody changes it any more."""


def is_standard_error() -> bool:
    """Whether the service manager has connected standard error to the journal, and nobody has put something else there.

    JOURNAL_STREAM is inherited by processes whose standard error is another one: only device and inode tell.
    """
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def encode(fields: Mapping[str, str]) -> bytes:
    """Names are of ``A-Z0-9_``; a value may be any text: with a newline in it, its length stands before it."""
    return b"".join(_encode(name.encode("ascii"), value.encode(errors="replace")) for name, value in fields.items())


def _encode(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name, len(value).to_bytes(8, "little"), value)
    return b"%b=%b\n" % (name, value)


def send(entry: bytes, path: Path = SOCKET) -> None:
    """Send an entry, however long it is. Raises OSError where no journal listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.connect(str(path))
        try:
            journal.send(entry)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            _send_file(journal, entry)


def _send_file(journal: socket.socket, entry: bytes) -> None:
    """What no datagram holds goes as a file in memory, of which the datagram has the descriptor alone."""
    descriptor = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        left = memoryview(entry)
        while left:
            left = left[file.write(left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        journal.sendmsg([], [rights])
