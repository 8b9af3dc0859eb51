"""No case is one that can't fail: a registry with one fault fails the cases that the fault concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import lifecycle
from conformance.cases import ALL
from conformance.outcome import Status
from conformance.run import Connection, run_case, run_cases, run_prefix
from conformance.target import Shared
from tests.conformance.broken import Fault, broken
from tests.conformance.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.lifecycle import Daemon

_CASES = {case.id: case for case in ALL}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Daemon]:
    with lifecycle.running() as daemon:
        yield daemon


def _host(daemon: Daemon) -> str:
    return daemon.url.removeprefix("http://")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_breaks_its_cases(upstream: Daemon, fault: Fault) -> None:
    with broken(_host(upstream), fault) as url:
        for case_id in fault.breaks.split():
            outcome = run_case(_CASES[case_id], Connection(url), Shared(run_prefix(), upstream))
            assert outcome.status is Status.FAILED, (case_id, outcome.status, outcome.reason)
            assert outcome.reason


def test_every_case_is_broken_by_a_fault() -> None:
    broken_cases = {case_id for fault in FAULTS for case_id in fault.breaks.split()}
    assert broken_cases == set(_CASES)


def test_without_a_fault_the_proxy_breaks_nothing(upstream: Daemon) -> None:
    with broken(_host(upstream), Fault("none", "")) as url:
        outcomes = list(run_cases(ALL, Connection(url), Shared(run_prefix(), upstream)))
    assert [(each.case.id, each.reason) for each in outcomes if each.status is not Status.PASSED] == []
