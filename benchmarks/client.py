"""A client over bare sockets, for what wrk can't do: HEAD, and bodies that are large.

``python -m benchmarks.client`` takes a Job as JSON on standard input and prints the Work as JSON. What it needs is
prepared before the clock starts: digests are computed, connections are open.
"""

from __future__ import annotations

import functools
import json
import os
import select
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import content
from benchmarks.connection import LAYERS, Connection, image_digests, push_blob, push_image
from benchmarks.work import LoadFailed, Work
from registry.oci.media_types import OCI_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Job:
    """``kind`` is a key of ``_KINDS``; blobs are numbered from ``first``, and have ``size`` bytes.

    Reads go on for ``seconds``; of pushes each client does ``count``.
    """

    kind: str
    port: int
    clients: int
    repository: str = ""
    references: Sequence[str] = ()
    seconds: float = 0
    count: int = 0
    first: int = 0
    size: int = 0


def _heads(job: Job) -> Work:
    """One process and no threads, which would cost more than the request."""
    requests = [
        f"HEAD {target} HTTP/1.1\r\nHost: registry\r\nAccept: {OCI_IMAGE}\r\n\r\n".encode() for target in job.references
    ]
    poll, sockets = select.epoll(), {}
    for _ in range(job.clients):
        each = Connection(job.port).socket
        sockets[each.fileno()] = each
        poll.register(each, select.EPOLLIN)
    received = dict.fromkeys(sockets, b"")
    count, started, cpu = 0, time.perf_counter(), time.process_time()
    for place, each in enumerate(sockets.values()):
        each.sendall(requests[place % len(requests)])
    while not count or time.perf_counter() - started < job.seconds:
        for descriptor, _ in poll.poll(1):
            piece = sockets[descriptor].recv(65536)
            if not piece:
                raise LoadFailed("the connection ended instead of a 200")
            received[descriptor] += piece
            if received[descriptor].endswith(b"\r\n\r\n"):
                if received[descriptor][9:12] != b"200":
                    raise LoadFailed(f"{received[descriptor][:100]!r} instead of a 200")
                received[descriptor] = b""
                count += 1
                sockets[descriptor].sendall(requests[count % len(requests)])
    return Work(count, time.perf_counter() - started, time.process_time() - cpu)


def _pull_blob(job: Job) -> Work:
    def pull(connection: Connection, _: int) -> None:
        connection.send("GET", f"/v2/{job.repository}/blobs/{job.references[0]}")
        connection.answer(200)

    return _read(job, pull)


def _pull_image(job: Job) -> Work:
    def pull(connection: Connection, number: int) -> None:
        tag = job.references[number % len(job.references)]
        connection.send("GET", f"/v2/{job.repository}/manifests/{tag}", f"Accept: {OCI_IMAGE}")
        manifest = json.loads(connection.answer(200, keep=True)[1])
        for descriptor in (manifest["config"], *manifest["layers"]):
            connection.send("GET", f"/v2/{job.repository}/blobs/{descriptor['digest']}")
            connection.answer(200)

    return _read(job, pull)


def _read(job: Job, pull: Callable[[Connection, int], None]) -> Work:
    """Each client pulls again and again until the time is over, and then to the end."""

    def work(connection: Connection, number: int) -> int:
        done, until = 0, time.perf_counter() + job.seconds
        while not done or time.perf_counter() < until:
            pull(connection, number + done)
            done += 1
        return done

    return _by_clients(job, work)


def _push_blob(job: Job) -> Work:
    """One after another, whatever the number of clients says."""
    files = []
    for number in range(job.first, job.first + job.count):
        descriptor = os.memfd_create("blob")
        for piece in content.pieces(number, job.size):
            os.write(descriptor, piece)
        files.append((descriptor, content.digest_of(number, job.size)))

    def work(connection: Connection, _: int) -> int:
        for descriptor, digest in files:
            send = functools.partial(connection.send_file, descriptor, job.size)
            push_blob(connection, job.repository, digest, job.size, send)
        return len(files)

    return _by_clients(job, work)


def _push_image(job: Job) -> Work:
    numbers = [job.first + place * (LAYERS + 1) for place in range(job.clients * job.count)]
    images = [(number, image_digests(number, job.size)) for number in numbers]

    def work(connection: Connection, number: int) -> int:
        for first, digests in images[number :: job.clients]:
            push_image(connection, job.repository, first, digests, job.size)
        return job.count

    return _by_clients(job, work)


def _by_clients(job: Job, work: Callable[[Connection, int], int]) -> Work:
    """``work`` takes a connection and the client's number, and returns how much it did. Raises LoadFailed."""
    connections = [Connection(job.port) for _ in range(job.clients)]
    done, failed = [0] * job.clients, []

    def run(number: int) -> None:
        try:
            done[number] = work(connections[number], number)
        except (LoadFailed, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(job.clients)]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if failed:
        raise LoadFailed(str(failed[0]))
    return Work(sum(done), seconds, cpu)


_KINDS: dict[str, Callable[[Job], Work]] = {
    "heads": _heads,
    "pull-blob": _pull_blob,
    "pull-image": _pull_image,
    "push-blob": _push_blob,
    "push-image": _push_image,
}


def main() -> None:
    fields: dict[str, Any] = json.load(sys.stdin)
    try:
        print(json.dumps(asdict(_KINDS[fields["kind"]](Job(**fields)))))
    except (LoadFailed, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
