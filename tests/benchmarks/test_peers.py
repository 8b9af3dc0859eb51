"""Which registries are found, and how they are started."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks import peers
from benchmarks.peers import KNOWN, OURS, Peer, UnknownPeer


def install(folder: Path, *names: str) -> str:
    """Programs that only say who they are; the path on which they are."""
    folder.mkdir(exist_ok=True)
    for name in names:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {name} 1.2\necho more\n")
        program.chmod(0o755)
    return str(folder)


def test_those_on_the_path_are_found_in_the_order_of_the_table(tmp_path: Path) -> None:
    path = install(tmp_path, "zot", "registry", "something-else")
    found = peers.find([], path)
    assert [each.name for each in found] == ["distribution", "zot"]
    assert [each.program for each in found] == [str(tmp_path / "registry"), str(tmp_path / "zot")]


def test_without_any_there_are_none(tmp_path: Path) -> None:
    assert peers.find([], str(tmp_path)) == []


def test_one_that_is_named_takes_the_place_of_the_one_found(tmp_path: Path) -> None:
    path = install(tmp_path / "found", "zot", "olareg")
    named = install(tmp_path / "named", "other-zot") + "/other-zot"
    found = peers.find([f"zot={named}"], path)
    assert {each.name: each.program for each in found} == {"zot": named, "olareg": str(tmp_path / "found/olareg")}


def test_any_other_is_started_by_its_whole_command() -> None:
    [mine] = peers.find(["mine=/opt/mine --dir '{data}/a b' --port {port}"], "")
    assert mine.command(Path("/d"), 80, Path("/c")) == ["/opt/mine", "--dir", "/d/a b", "--port", "80"]


@pytest.mark.parametrize(
    "text", ["zot", "=x", "zot=", "mine=/bin/true", "zot=/bin/true --more", "zot=/no/such", "cargohold=x {port}"]
)
def test_what_can_not_be_started_is_refused(text: str) -> None:
    with pytest.raises(UnknownPeer, match=re.escape(repr(text))):
        peers.find([text], "")


def test_the_version_is_the_first_line(tmp_path: Path) -> None:
    program = install(tmp_path, "zot") + "/zot"
    assert Peer("zot", program, ()).ask_version() == "zot 1.2"
    assert Peer("zot", str(tmp_path / "gone"), ()).ask_version() == "unknown"
    (tmp_path / "wordy").write_text('#!/bin/sh\necho "$0 version 3"\n')
    (tmp_path / "wordy").chmod(0o755)
    assert Peer("distribution", str(tmp_path / "wordy"), ()).ask_version() == "distribution version 3"
    assert Peer("zot", "/bin/false", ()).ask_version() == "unknown"
    assert OURS.ask_version().startswith("cargohold ")


@pytest.mark.parametrize("peer", [OURS, *KNOWN], ids=lambda peer: peer.name)
def test_each_listens_on_the_loopback_interface_only_and_keeps_its_data_in_the_folder(peer: Peer) -> None:
    given = (Path("/data folder"), 4711, Path("/the/config"))
    texts = [*peer.command(*given), *(peers.fill(each, *given) for each in (peer.config, *peer.environment.values()))]
    said = "\n".join(texts)
    assert "127.0.0.1" in said
    assert "4711" in said
    assert "/data folder" in said
    assert not any(word in said for word in ("{data}", "{port}", "{config}"))


def test_the_configurations_can_be_read() -> None:
    given = (Path("/d"), 4711, Path("/c"))
    configs = {peer.name: peers.fill(peer.config, *given) for peer in KNOWN}
    assert json.loads(configs["zot"])["http"]["port"] == "4711"
    for name in ("docker-registry", "distribution"):
        document = yaml.safe_load(configs[name])
        assert document["http"]["addr"] == "127.0.0.1:4711"
        assert "delete" not in document["storage"]
