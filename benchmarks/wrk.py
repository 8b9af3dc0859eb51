"""Load by wrk: reads by one thread for all clients, which costs it least, pushes by one thread a client."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.work import Latency, LoadFailed, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent
_LIMIT_SECONDS = 120
"""The most that a list may take."""


def missing() -> str | None:
    """What to install; None where all is there."""
    return None if shutil.which("wrk") else "wrk is not installed: apt install wrk"


def write_lists(folder: Path, lines: Sequence[str], threads: int) -> None:
    """A file for each thread, with its share of the lines. Raises ValueError where there are too few."""
    if len(lines) < threads:
        raise ValueError(f"{len(lines)} lines for {threads} threads")
    folder.mkdir()
    for number in range(threads):
        (folder / str(number + 1)).write_text("".join(f"{line}\n" for line in lines[number::threads]))


def walk(port: int, folder: Path, clients: int, seconds: int, core: int) -> Work:
    """GET the targets of the one list, again and again for so long. Raises LoadFailed."""
    for patient_seconds in (seconds, 10 * seconds, 100 * seconds):
        before = _children_cpu_seconds()
        command = [*_command("walk.lua", 1, clients, patient_seconds, core), *_arguments(port, folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        work = parse(done.stdout, done.stderr, _children_cpu_seconds() - before)
        if work.operations:  # else the machine is so busy that nothing was answered in this time
            return work
    raise LoadFailed("nothing was answered")


def push(port: int, folder: Path, clients: int, core: int) -> Work:
    """Push each item of the lists once. Raises LoadFailed."""
    before = _children_cpu_seconds()
    command = [*_command("push.lua", clients, clients, _LIMIT_SECONDS, core), *_arguments(port, folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            left = _wait_for_clients(process, clients)
            process.send_signal(signal.SIGINT)  # it would sleep until its time is over
            output, errors = process.communicate()
        finally:
            process.kill()
    work = parse(output, errors, _children_cpu_seconds() - before)
    if left:
        raise LoadFailed(f"{left} of {clients} clients were not through after {_LIMIT_SECONDS} s")
    return work


def _wait_for_clients(process: subprocess.Popen[str], clients: int) -> int:
    """How many of them were not through with their list when it ended."""
    assert process.stdout is not None
    for line in process.stdout:
        clients -= line == "ended\n"
        if not clients:
            break
    return clients


def parse(output: str, errors: str, client_cpu_seconds: float) -> Work:
    """What the scripts print at the end. Raises LoadFailed where there is none, or a request failed."""
    lines = [line for line in output.splitlines() if line.startswith('{"operations"')]
    if not lines:
        raise LoadFailed(f"wrk: {errors.strip() or output.strip() or 'no result'}")
    result = json.loads(lines[-1])
    if result["failed"]:
        raise LoadFailed(f"{result['failed']} of {result['operations']} requests failed: {result['complaint']}")
    latency = Latency(result["half"], result["most"]) if "half" in result else None
    return Work(result["operations"], result["seconds"], client_cpu_seconds, latency)


def _command(script: str, threads: int, connections: int, seconds: int, core: int) -> list[str]:
    pinned = ["taskset", "--cpu-list", str(core), "wrk", "--timeout", "30s", "--duration", f"{seconds}s"]
    return [*pinned, "--threads", str(threads), "--connections", str(connections), "--script", str(_HERE / script)]


def _arguments(port: int, folder: Path) -> list[str]:
    return [f"http://127.0.0.1:{port}", "--", str(folder)]


def _children_cpu_seconds() -> float:
    """Of those that ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
