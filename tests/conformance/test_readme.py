"""The kit's README says what is there."""

from __future__ import annotations

import re
from pathlib import Path

import conformance
from conformance.__main__ import main
from conformance.cases import ALL, GROUPS

_README = (Path(conformance.__file__).parent / "README.md").read_text("utf-8")


def test_it_has_every_option_and_no_other() -> None:
    """The table of registries has switches of theirs."""
    without_peers = re.sub(r"^## Registries\n.*?(?=^## )", "", _README, flags=re.MULTILINE | re.DOTALL)
    documented = set(re.findall(r"--[a-z][a-z-]+", without_peers))
    assert documented == {option for parameter in main.params for option in parameter.opts if option.startswith("--")}


def test_it_counts_the_cases() -> None:
    assert f"{len(ALL)} cases in {len(GROUPS)} groups" in _README


def test_its_links_lead_somewhere() -> None:
    folder = Path(conformance.__file__).parent
    for link in re.findall(r"\]\(([^)#]+)\)", _README):
        assert link.startswith("https://") or (folder / link).exists(), link
