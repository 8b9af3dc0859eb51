"""A registry is started with a folder of its own, held, and ended."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest

from benchmarks import site
from benchmarks.peers import OURS, Peer
from benchmarks.running import Running, StartFailed, running

_CORE = site.cores()[0]


def state(registry: Running) -> str:
    """R, S, T (stopped) or so. Source: proc_pid_stat(5)."""
    return Path(f"/proc/{registry._process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_it_runs_on_its_core_and_only_when_it_is_let(tmp_path: Path) -> None:
    with running(OURS, tmp_path / "data", tmp_path, _CORE) as registry:
        os.waitpid(registry._process.pid, os.WUNTRACED)
        assert state(registry) == "T"
        assert os.sched_getaffinity(registry._process.pid) == {_CORE}
        with registry.let_run():
            connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=30)
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
            connection.close()
    assert registry._process.returncode == 0
    assert (tmp_path / "data/registry.db").exists()
    assert "GET" in (tmp_path / "cargohold.log").read_text()


def test_what_it_costs_is_read(tmp_path: Path) -> None:
    with running(OURS, tmp_path / "data", tmp_path, _CORE) as registry:
        assert registry.cpu_seconds() > 0
        assert registry.resident_bytes() > 1024 * 1024
        assert registry.resident_bytes(peak=True) > 1024 * 1024


def test_one_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    peer = Peer("broken", "/bin/sh", ("-c", "echo no such setting; exit 3"))
    with pytest.raises(StartFailed, match="no such setting"), running(peer, tmp_path / "data", tmp_path, _CORE):
        pass


def test_it_ends_with_an_error_of_who_measures(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        running(OURS, tmp_path / "data", tmp_path, _CORE) as registry,
        registry.let_run(),
    ):
        raise ZeroDivisionError
    assert registry._process.returncode == 0
