"""What a registry takes longer for when it has grown: ``python -m benchmarks.growth [--manifests N] [--data DIR]``.

Two daemons, one on a registry of N manifests and one on next to nothing, are asked the same in turn, so that whatever
else this machine does slows both. Then the grown one collects garbage and the like, while a client pushes manifests.

Data go below TMPDIR, or stay in DIR and are used again: 3.2 GiB for a million manifests, twice that during a snapshot.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import dataset
from benchmarks.dataset import LARGE, Shape
from benchmarks.start import restarts
from registry.oci.digests import Digest
from registry.oci.media_types import OCI_IMAGE
from registry.transfer.client import Client
from tests.tools.daemon import running
from tests.tools.raw import Connection, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tools.daemon import Daemon
    from tests.tools.raw import Answer

_SETTINGS = {
    "CARGOHOLD_LOG__LEVEL": "info",
    "CARGOHOLD_GC__INTERVAL": "1d",
    "CARGOHOLD_GC__LEASE_SECONDS": "1",
    "CARGOHOLD_GC__UNTAGGED_AFTER": "1s",
    "CARGOHOLD_BACKUP__INTERVAL": "1d",
}
"""What runs by itself is run by hand."""

_QUIET_SECONDS = 10


class Site:
    """A daemon as a client sees it, over one connection."""

    def __init__(self, daemon: Daemon, shape: Shape) -> None:
        self.shape = shape
        self._connection = Connection(daemon.port)
        self._random = random.Random(1)
        self._pushed = 0

    def ask(self, status: int, method: str, target: str, *headers: str, body: bytes | None = None) -> Answer:
        self._connection.send(request(method, f"/v2/{target}", *headers, body=body))
        answer = self._connection.answer(method)
        assert answer.status == status, (method, target, answer)
        return answer

    def image(self) -> tuple[str, int]:
        """The repository and the number of any image that has a tag."""
        number = self._random.randrange(self.shape.images)
        return self.shape.repository(number), number

    def next_number(self) -> int:
        self._pushed += 1
        return self._pushed


def _tag(method: str, site: Site) -> Callable[[], object]:
    repository, number = site.image()
    return partial(site.ask, 200, method, f"{repository}/manifests/{dataset.tag_of(number)}")


def _digest(site: Site) -> Callable[[], object]:
    repository, number = site.image()
    return partial(site.ask, 200, "GET", f"{repository}/manifests/{Digest.of(dataset.image_of(number))}")


def _blob(site: Site) -> Callable[[], object]:
    repository, number = site.image()
    return partial(site.ask, 200, "HEAD", f"{repository}/blobs/{Digest.of(dataset.config_of(number))}")


def _first_tags(site: Site) -> Callable[[], object]:
    return partial(site.ask, 200, "GET", f"{LARGE}/tags/list?n=100")


def _middle_tags(site: Site) -> Callable[[], object]:
    return partial(site.ask, 200, "GET", f"{LARGE}/tags/list?n=100&last={dataset.tag_of(site.shape.large // 2)}")


def _catalog(site: Site) -> Callable[[], object]:
    return partial(site.ask, 200, "GET", f"_catalog?n=100&last=team/app-{site.shape.repositories // 2:05}")


def _referrers(site: Site) -> Callable[[], object]:
    subject = Digest.of(dataset.image_of(0))
    return partial(site.ask, 200, "GET", f"{LARGE}/referrers/{subject}?n=100&last=sha256:4")


def _push_manifest(site: Site, kind: str = "put") -> Callable[[], object]:
    (repository, number), pushed = site.image(), site.next_number()
    body = json.dumps({**json.loads(dataset.image_of(number)), "annotations": {kind: str(pushed)}}).encode()
    target = f"{repository}/manifests/{kind}-{pushed}"
    return partial(site.ask, 201, "PUT", target, f"Content-Type: {OCI_IMAGE}", body=body)


def _push_blob(site: Site) -> Callable[[], object]:
    (repository, _), body = site.image(), b"pushed %d" % site.next_number() * 100

    def push() -> None:
        location = site.ask(202, "POST", f"{repository}/blobs/uploads/", body=b"").headers["location"]
        target = f"{location.partition('/v2/')[2]}?digest={Digest.of(body)}"
        site.ask(201, "PUT", target, "Content-Type: application/octet-stream", body=body)

    return push


_KINDS: dict[str, Callable[[Site], Callable[[], object]]] = {
    "manifest GET by tag": partial(_tag, "GET"),
    "manifest GET by digest": _digest,
    "manifest HEAD": partial(_tag, "HEAD"),
    "blob HEAD": _blob,
    "tags, first page": _first_tags,
    "tags, middle page": _middle_tags,
    "catalog, middle page": _catalog,
    "referrers, middle page": _referrers,
    "manifest PUT": _push_manifest,
    "blob POST and PUT": _push_blob,
}
"""What prepares a request; the time is that of what it returns."""


def compare(sites: list[Site], rounds: int) -> None:
    """Ask both in turn, for each kind ``rounds`` times; print the medians and their ratio."""
    times: dict[str, tuple[list[float], ...]] = {kind: ([], []) for kind in _KINDS}
    for turn in range(rounds):
        for kind, prepare in _KINDS.items():
            for place in (0, 1) if turn % 2 else (1, 0):
                act = prepare(sites[place])
                started = time.perf_counter()
                act()
                times[kind][place].append((time.perf_counter() - started) * 1000)
    print(f"{'median (9 of 10 below), ms':28}{'empty':>16}{'grown':>16}{'ratio':>8}")
    for kind, both in times.items():
        shown = [f"{statistics.median(each):.2f} ({statistics.quantiles(each, n=10)[-1]:.2f})" for each in both]
        ratio = statistics.median(both[1]) / statistics.median(both[0])
        print(f"{kind:28}{shown[0]:>16}{shown[1]:>16}{ratio:8.2f}")


class Pusher(threading.Thread):
    """Pushes one manifest after the other until it is told to stop, on a connection of its own."""

    def __init__(self, daemon: Daemon, shape: Shape, kind: str) -> None:
        super().__init__()
        self._site = Site(daemon, shape)
        self._kind = kind
        self._stopped = threading.Event()
        self.milliseconds: list[float] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            act = _push_manifest(self._site, self._kind)
            started = time.perf_counter()
            act()
            self.milliseconds.append((time.perf_counter() - started) * 1000)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def beside_pushes(daemon: Daemon, shape: Shape, what: str, act: Callable[[], Any]) -> None:
    """Do something while manifests are pushed; print how long it took, and how long pushes did."""
    pusher = Pusher(daemon, shape, re.sub(r"\W+", "-", what))
    pusher.start()
    try:
        started = time.perf_counter()
        found = act()
        seconds = time.perf_counter() - started
    finally:
        pusher.stop()
    times = sorted(pusher.milliseconds)
    line = f"{what:22}{seconds:8.2f} s{len(times):8,} PUTs, median {statistics.median(times):6.2f} ms"
    longest = ", ".join(f"{each:.0f}" for each in reversed(times[-3:]))
    print(f"{line}, longest {longest} ms", found or "", flush=True)


def operate(daemon: Daemon, shape: Shape) -> None:
    """What reads or changes much at once."""

    def command(method: str, path: str, **parameters: str) -> dict[str, Any]:
        with Client(daemon.data / "admin.sock") as client:
            answer = client.operate(method, path, **parameters)
        return {key: value for key, value in answer.items() if isinstance(value, int) and value}

    acts: dict[str, Callable[[], Any]] = {
        "nothing": partial(time.sleep, _QUIET_SECONDS),
        "gc plan": partial(command, "POST", "gc", **{"dry-run": "", "now": ""}),
        "gc run, marks": partial(command, "POST", "gc", now=""),
        "metrics": lambda: daemon.request("GET", "/metrics")[0],
        "stats": partial(command, "GET", "repositories"),
        "nothing again": partial(time.sleep, 2),
        "gc run, collects": partial(command, "POST", "gc", now=""),
        "gc run, finds nothing": partial(command, "POST", "gc", now=""),
        "snapshot": partial(command, "POST", "backup"),
    }
    for what, act in acts.items():
        beside_pushes(daemon, shape, what, act)


def main(folder: Path, manifests: int, rounds: int) -> None:
    shapes = {"empty": dataset.EMPTY, "grown": Shape.of(manifests)}
    with ExitStack() as stack:
        sites, daemons = [], []
        for name, shape in shapes.items():
            data = folder / name
            started = time.perf_counter()
            if not data.exists():
                dataset.make(data, shape)
            size = (data / "registry.db").stat().st_size / 1024**2
            print(f"{name}: {size:,.0f} MiB, made in {time.perf_counter() - started:.0f} s", flush=True)
            daemons.append(stack.enter_context(running(data, _SETTINGS)))
            sites.append(Site(daemons[-1], shape))
        compare(sites, rounds)
        for how, seconds in restarts(daemons[1]):
            print(f"start after it was {how}: {seconds:.2f} s", flush=True)
        operate(daemons[1], shapes["grown"])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifests", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=300, help="how often each request is timed")
    parser.add_argument("--data", type=Path, help="a folder that stays, and is used again")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _parse()
    with tempfile.TemporaryDirectory() as temporary:
        main(arguments.data or Path(temporary), arguments.manifests, arguments.rounds)
