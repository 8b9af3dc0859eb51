"""The command as a whole, with one load and little of everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import site, wrk
from benchmarks.__main__ import choose, measure
from benchmarks.figures import Run
from benchmarks.loads import LOADS, QUICK, Bench
from benchmarks.peers import OURS
from benchmarks.running import running

_HEADS = "manifest HEAD by tag, 16 clients"
_PROGRAMS = ("wrk", "taskset", "sync", "git")


def start(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", *arguments],
        cwd=Path(__file__).parents[2],
        env={"PATH": path, "HOME": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_says_what_to_install(tmp_path: Path) -> None:
    done = start(str(tmp_path))
    assert done.returncode == 1
    assert "apt install wrk" in done.stderr


def test_each_load_is_chosen_by_its_title() -> None:
    assert [load.title for load in choose([_HEADS])] == [_HEADS]
    assert choose([]) == list(LOADS)
    assert len({load.title for load in LOADS}) == len(LOADS)


def test_a_registry_that_ended_is_reported(tmp_path: Path) -> None:
    run, bench = Run({}, [(LOADS[0].title, "")], ["cargohold"]), Bench(tmp_path, site.cores()[1], QUICK)
    with running(OURS, tmp_path / "data", tmp_path, site.cores()[0]) as registry:
        registry.end()
        measure(run, LOADS[0], registry, bench, 1)
    assert [str(each) for each in run.failures] == [f"cargohold, round 1: {LOADS[0].title}: it has ended"]


@pytest.mark.skipif(wrk.missing() is not None, reason=str(wrk.missing()))
def test_a_peer_that_does_not_start_is_reported_and_the_others_are_measured(tmp_path: Path) -> None:
    for name in _PROGRAMS:
        (tmp_path / "bin").mkdir(exist_ok=True)
        os.symlink(str(shutil.which(name) or "/nowhere"), tmp_path / "bin" / name)
    output, data = tmp_path / "output", tmp_path / "data"
    data.mkdir()
    peer = "broken=/bin/sh -c 'echo no such option; exit 1' {port}"
    options = ["--load", _HEADS, "--peer", peer, "--data", str(data), "--output", str(output)]
    done = start(str(tmp_path / "bin"), *options)
    assert done.returncode == 0, done.stderr
    document = json.loads((output / "figures.json").read_text())
    assert [(each["load"], each["registry"], each["round"]) for each in document["figures"]] == [
        (_HEADS, "cargohold", 1)
    ]
    assert document["figures"][0]["cpu_seconds"] > 0
    assert [(each["registry"], each["reason"]) for each in document["failures"]] == [("broken", "no such option\n")]
    assert document["about"]["version_of_cargohold"].startswith("cargohold ")
    assert done.stdout == (output / "figures.md").read_text()
    ET.fromstring((output / "figures.svg").read_text())
    assert list(data.iterdir()) == []
