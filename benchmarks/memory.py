"""Peak memory of the daemon while one large blob is streamed in and out: ``python -m benchmarks.memory [MIB]``."""

from __future__ import annotations

import hashlib
import http.client
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


def pieces(size: int) -> Iterator[bytes]:
    """Bytes that no file system can make smaller."""
    block = hashlib.shake_256(b"cargohold").digest(MIB)
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + block[8:]


def peak_memory(daemon: Daemon) -> float:
    """Most resident memory so far, in MiB (VmHWM, proc_pid_status(5))."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def push(daemon: Daemon, size: int, digest: str, *, chunked: bool) -> None:
    url = daemon.request("POST", "/v2/bench/blobs/uploads/")[1]["location"]
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port)
    headers = {} if chunked else {"Content-Length": str(size)}
    connection.request("PUT", f"{url}?digest={digest}", pieces(size), headers, encode_chunked=chunked)
    response = connection.getresponse()
    assert response.status == 201, response.read()
    connection.close()


def pull(daemon: Daemon, digest: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port)
    connection.request("GET", f"/v2/bench/blobs/{digest}")
    response, content_hash, buffer = connection.getresponse(), hashlib.sha256(), bytearray(MIB)
    while length := response.readinto(buffer):
        content_hash.update(memoryview(buffer)[:length])
    assert f"sha256:{content_hash.hexdigest()}" == digest
    connection.close()


def main(size_mib: int) -> None:
    size, content_hash = size_mib * MIB, hashlib.sha256()
    for piece in pieces(size):
        content_hash.update(piece)
    digest = f"sha256:{content_hash.hexdigest()}"
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data") as daemon:
        daemon.request("GET", "/v2/")
        before = peak_memory(daemon)
        print(f"idle: {before:.0f} MiB")
        steps = {
            "push with Content-Length": lambda: push(daemon, size, digest, chunked=False),
            "push chunked": lambda: push(daemon, size, digest, chunked=True),
            "pull": lambda: pull(daemon, digest),
        }
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds = time.perf_counter() - started
            grown = peak_memory(daemon) - before
            print(f"{name}: {size_mib} MiB in {seconds:.1f} s ({size_mib / seconds:.0f} MiB/s), peak +{grown:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2048)
