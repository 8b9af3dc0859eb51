"""The kit against another registry: Debian's docker-registry 2.8 fails what it is known to fail, and nothing else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from conformance.outcome import Status
from conformance.plan import Choice
from conformance.run import Connection, run_cases, run_prefix
from conformance.target import Shared
from tests.conformance.peer import docker_registry

if TYPE_CHECKING:
    from conformance.outcome import Outcome

_RANGES = "range-outside range-reversed range-of-unknown-unit"
"""It answers what it can't serve with a Content-Length that does not hold."""

_CHUNKS = (
    "chunk-out-of-order first-chunk-not-at-zero chunk-repeated last-chunk-out-of-order true-offset-after-416 "
    "content-range-with-bad-syntax content-range-contradicts-length"
)
"""It does not read Content-Range."""

_DIGESTS = "pull-manifest-with-bad-digest manifest-with-bad-digest unknown-algorithm"
"""A bad digest of a manifest is a fault (500); digest-algorithm is not known."""

_TAGS = (
    "list-without-tags tags-limited no-tags-with-n-zero tags-after-last tags-limited-after-last tags-in-pages "
    "tags-pushed-at-once"
)
"""Its list of tags is not sorted and knows neither n nor last; without tags there is no list."""

_REFERRERS = (
    "referrers-of-sample no-referrers referrers-content-type referrers-of-unknown-subject referrers-of-bad-digest "
    "referrer-is-listed referrer-annotations artifact-type-of-config index-as-referrer index-without-artifact-type "
    "referrers-of-one-repository referrers-filtered referrers-filtered-to-none referrers-in-pages deleted-referrer "
    "fallback-tag subject-header referrer-of-missing-subject referrers-pushed-at-once"
)
"""It has no referrers."""

_MANIFESTS = "manifest-over-the-limit non-distributable-layers"
"""400 instead of 413; a foreign layer whose host it is not told to trust is a fault (500)."""

_FAILED = set(f"{_RANGES} {_CHUNKS} {_DIGESTS} {_TAGS} {_REFERRERS} {_MANIFESTS}".split())
_BY_CHANCE = {"tags-are-sorted", "same-chunk-at-once", "cut-chunk-is-continued", "tag-pushed-and-deleted-at-once"}
"""Races that it loses most of the time; and its order of tags is that of a folder's entries."""

_SKIPPED = {
    "conditional-push",
    "tag-parameters",
    "ten-tag-parameters",
    "tag-parameters-with-sha512",
    "mount-anonymously",
    "sha512-manifest",
    "sha512-wrong-digest",
    "sha512-subject",
    "delete-tag",
    "deleted-tag-is-not-listed",
    "delete-unknown-tag",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    command = shutil.which("docker-registry")
    if command is None:
        pytest.skip("docker-registry is not installed")
    cases = Choice().select(has_daemon=False)
    with docker_registry(tmp_path_factory.mktemp("docker-registry"), command) as url:
        return {each.case.id: each for each in run_cases(cases, Connection(url), Shared(run_prefix()))}


def test_it_fails_what_it_is_known_to_fail(outcomes: dict[str, Outcome]) -> None:
    failed = {case_id for case_id, outcome in outcomes.items() if outcome.is_bad}
    assert failed - _BY_CHANCE == _FAILED, [outcomes[case_id].reason for case_id in failed ^ _FAILED]


def test_it_skips_what_it_may_leave_out(outcomes: dict[str, Outcome]) -> None:
    skipped = {case_id for case_id, outcome in outcomes.items() if outcome.status is Status.SKIPPED}
    assert skipped - _BY_CHANCE == _SKIPPED


def test_the_kit_has_no_fault_of_its_own(outcomes: dict[str, Outcome]) -> None:
    assert [each.reason for each in outcomes.values() if each.status is Status.ERROR] == []
