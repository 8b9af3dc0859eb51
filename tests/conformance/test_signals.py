"""A signal ends the kit with all that it has started: the daemon, and the folder of both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conformance.processes import processes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KIT = [sys.executable, "-m", "conformance"]


def _answers(process: subprocess.Popen[str], _folder: Path) -> None:
    """Wait until the run has begun: the first line names the URL."""
    assert process.stdout is not None
    url = process.stdout.readline().partition("(")[2].partition(")")[0]
    with urllib.request.urlopen(f"{url}/v2/", timeout=60) as answer:
        assert answer.status == 200


def _boots(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the daemon is about to start."""
    while not list(folder.glob("conformance-*/daemon.log")):
        assert process.poll() is None
        os.sched_yield()


def _has_pid(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the daemon is there but does not listen yet."""
    while not processes_of(folder):
        assert process.poll() is None
        os.sched_yield()


def _start(folder: Path, *prefix: str) -> subprocess.Popen[str]:
    """The kit, which keeps what is temporary in this folder."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [*(prefix or ("env", "--default-signal")), *_KIT]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("moment", [_boots, _has_pid, _answers])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_neither_process_nor_folder(
    tmp_path: Path, number: signal.Signals, moment: Callable[[subprocess.Popen[str], Path], None]
) -> None:
    with _start(tmp_path) as process:
        moment(process, tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"\nconformance: stopped by {number.name}\n"
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_more_signals_do_not_disturb_the_cleaning_up(tmp_path: Path) -> None:
    with _start(tmp_path) as process:
        _answers(process, tmp_path)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            os.sched_yield()
        process.communicate()
    assert process.returncode in {128 + signal.SIGTERM, -signal.SIGTERM}  # the latter once all is cleaned up
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    with _start(tmp_path, "env", "--ignore-signal=HUP") as process:
        for moment in (_boots, _has_pid, _answers):
            moment(process, tmp_path)
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert errors == "\nconformance: stopped by SIGTERM\n"
