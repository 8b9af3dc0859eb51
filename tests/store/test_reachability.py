"""What leads to a manifest, over small graphs and all of their ways."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.store import reachability, schema
from registry.store.clock import Clock
from registry.store.transactions import WriteTx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COUNT = 5


def make(subjects: Sequence[int | None], lists: Sequence[tuple[int, int]], tagged: Sequence[int]) -> WriteTx:
    """Manifests 0 to 4 with these subjects; (index, child); those with a tag."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection)
    tx = WriteTx(connection, Clock(source=lambda: 0))
    tx.execute("INSERT INTO repository VALUES (1, 'a', 0)")
    for number, subject in enumerate(subjects):
        tx.execute(
            "INSERT INTO manifest (id, repository_id, digest, media_type, size, subject, pushed_ms)"
            " VALUES (?, 1, ?, '', 0, ?, 0)",
            number,
            f"d{number}",
            None if subject is None else f"d{subject}",
        )
    for parent, child in set(lists):
        tx.execute("INSERT INTO edge VALUES (?, 'child', ?, 1, NULL)", parent, f"d{child}")
    for number in set(tagged):
        tx.execute("INSERT INTO tag (repository_id, name, manifest_id) VALUES (1, ?, ?)", f"t{number}", number)
    return tx


def expected(subjects: Sequence[int | None], lists: Sequence[tuple[int, int]], roots: Sequence[int]) -> set[int]:
    """The same downwards: a root, its children, its referrers, and theirs."""
    reached, waiting = set(), list(roots)
    while waiting:
        manifest = waiting.pop()
        if manifest not in reached:
            reached.add(manifest)
            waiting += [child for parent, child in lists if parent == manifest]
            waiting += [number for number, subject in enumerate(subjects) if subject == manifest]
    return reached


NUMBERS = st.integers(0, COUNT - 1)
GRAPHS = st.tuples(
    st.lists(st.none() | NUMBERS, min_size=COUNT, max_size=COUNT),
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8),
    st.lists(NUMBERS, max_size=2),
)


@given(GRAPHS)
def test_a_manifest_is_reached_if_a_walk_from_the_tags_comes_there(
    graph: tuple[list[int | None], list[tuple[int, int]], list[int]],
) -> None:
    tx = make(*graph)
    assert {number for number in range(COUNT) if reachability.is_reachable(tx, number)} == expected(*graph)


@given(GRAPHS, st.lists(st.none() | st.integers(-20, 0), min_size=COUNT, max_size=COUNT))
def test_a_manifest_is_due_if_no_walk_from_what_is_not_yet_due_comes_there(
    graph: tuple[list[int | None], list[tuple[int, int]], list[int]], marked_ms: list[int | None]
) -> None:
    subjects, lists, tagged = graph
    tx = make(*graph)
    for number, moment in enumerate(marked_ms):
        tx.execute("UPDATE manifest SET unreachable_clock_ms = ? WHERE id = ?", moment, number)
    young = [number for number, moment in enumerate(marked_ms) if moment is None or moment > -10]
    stay = expected(subjects, lists, [*tagged, *young])
    due = {number for number in range(COUNT) if reachability.is_due(tx, number, untagged_after_ms=10)}
    assert due == set(range(COUNT)) - stay


@pytest.mark.parametrize(("kept_until_ms", "is_reachable"), [(0, False), (1, True)])
def test_a_lease_is_a_root_until_it_ends(kept_until_ms: int, is_reachable: bool) -> None:
    tx = make([None, 0, None, None, None], [(0, 2)], [])
    tx.execute("UPDATE manifest SET kept_until_clock_ms = ?, unreachable_clock_ms = -5 WHERE id = 0", kept_until_ms)
    tx.execute("UPDATE manifest SET unreachable_clock_ms = -5")
    for manifest in (0, 1, 2):
        assert reachability.is_reachable(tx, manifest) == is_reachable
        assert reachability.is_due(tx, manifest, untagged_after_ms=5) != is_reachable
    assert not reachability.is_reachable(tx, 3)


def candidates(tx: WriteTx) -> Iterator[tuple[int, bool]]:
    return iter(sorted(reachability.candidates(tx, range(COUNT))))


def test_candidates_are_those_without_a_tag_and_those_that_are_marked() -> None:
    tx = make([None] * COUNT, [(0, 1)], [0, 3])
    tx.execute("UPDATE manifest SET unreachable_clock_ms = 0 WHERE id IN (2, 3)")
    assert list(candidates(tx)) == [(1, False), (2, True), (3, True), (4, False)]
