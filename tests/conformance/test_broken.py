"""No case is one that can't fail: a registry with one fault fails the cases that the fault concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import lifecycle
from conformance.cases import ALL
from conformance.outcome import Status
from conformance.plan import Choice
from conformance.run import Connection, run_case, run_cases, run_prefix
from conformance.target import Shared
from tests.conformance.broken import Fault, broken
from tests.conformance.faults import FAULTS, FAULTS_OF_READ_ONLY
from tests.conformance.read_only import read_only_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.lifecycle import Daemon
    from tests.conformance.read_only import Served

_CASES = {case.id: case for case in ALL}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Daemon]:
    with lifecycle.running() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with read_only_registry(tmp_path_factory.mktemp("read-only")) as registry:
        yield registry


def _host(daemon: Daemon) -> str:
    return daemon.url.removeprefix("http://")


def _assert_broken(fault: Fault, host: str, make_shared: Callable[[], Shared]) -> None:
    with broken(host, fault) as url:
        for case_id in fault.breaks.split():
            outcome = run_case(_CASES[case_id], Connection(url), make_shared())
            assert outcome.status is Status.FAILED, (case_id, outcome.status, outcome.reason)
            assert outcome.reason


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_breaks_its_cases(upstream: Daemon, fault: Fault) -> None:
    _assert_broken(fault, _host(upstream), lambda: Shared(run_prefix(), upstream))


@pytest.mark.parametrize("fault", FAULTS_OF_READ_ONLY, ids=lambda fault: fault.name)
def test_a_fault_of_a_read_only_registry_breaks_its_cases(served: Served, fault: Fault) -> None:
    _assert_broken(fault, served.host, lambda: Shared(run_prefix(), sample=served.sample()))


def test_every_case_is_broken_by_a_fault() -> None:
    broken_cases = {case_id for fault in (*FAULTS, *FAULTS_OF_READ_ONLY) for case_id in fault.breaks.split()}
    assert broken_cases == set(_CASES)


def test_without_a_fault_the_proxy_breaks_nothing(upstream: Daemon, served: Served) -> None:
    runs = (
        (_host(upstream), Choice(), Shared(run_prefix(), upstream)),
        (served.host, Choice(read_only=True), Shared(run_prefix(), sample=served.sample())),
    )
    for host, choice, shared in runs:
        with broken(host, Fault("none", "")) as url:
            outcomes = list(run_cases(choice.select(has_daemon=True), Connection(url), shared))
        assert [(each.case.id, each.reason) for each in outcomes if each.status is not Status.PASSED] == []
