"""System calls fail, one at a time, in every act: what is acknowledged stays, and what is refused can be repeated.

Each act is watched once, which tells its calls on the data folder. Then it is done again for each of them, with that
call failing, or that one and all of its name after it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from http.client import HTTPException
from itertools import count
from typing import TYPE_CHECKING

from tests.faults import injection, strace
from tests.faults.acts import ACTS, OPERATIONS, SHORT_LIVES, Recorder, describe, has_envelope, make_image
from tests.faults.injection import Fault, kill, watching
from tests.faults.report import Report
from tests.tools.content import CONFIG, digest_of
from tests.tools.daemon import Daemon, running

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.faults.acts import Act, Perform
    from tests.faults.injection import Call, Trace
    from tests.faults.ledger import Reply

KIND = "injected_errors"

_DISK_ERRORS = ("ENOSPC", "EDQUOT", "EIO")
_RIGHT_STATUS = {"ENOSPC": {507}, "EDQUOT": {507}, "EIO": {500, 503}, "EMFILE": {500, 503}}

_MAY_FAIL_UNSEEN = {"unlink", "unlinkat"}
"""Without them, what was acknowledged is as durable as with them."""

_FULL_EDGE = 6
"""How many calls of one name on one file are tried at each end, and between."""

_STRIDE = 5
"""Coprime to the number of ways in which a call can fail, so that each has its turn."""

_SYNCS = {"fdatasync", "fsync"}

_SQLITE_WRITES = {"pwrite64", "pwritev", "write", "fallocate"}

_NOT_NEEDED = {"ballast", "probe", "registry.db", "registry.db-shm"}
"""Files that hold nothing alone: the database is written by checkpoints, from a log that stays until they succeed."""

_BASE = "faults/base"


@dataclass(frozen=True, slots=True)
class Case:
    act: Act
    call: Call
    error: str
    lasting: bool

    @property
    def fault(self) -> Fault:
        return Fault(self.call.name, self.call.number, self.error, lasting=self.lasting)

    def __str__(self) -> str:
        return f"{self.act.name}: {self.fault}, on {_kind(self.call)}"


def run(folder: Path, *, full: bool) -> Report:
    reason = strace.missing()
    if reason is not None:
        return Report(KIND, skipped=reason)
    report = Report(KIND)
    sweep(folder / "clients", report, ACTS, full=full)
    sweep(folder / "operator", report, OPERATIONS, full=full, settings=SHORT_LIVES)
    return report


def sweep(
    folder: Path,
    report: Report,
    acts: Sequence[Act],
    *,
    full: bool,
    settings: Mapping[str, str] | None = None,
    names: Collection[str] = injection.CALLS,
) -> None:
    """Try the acts with every fault of calls of these names, or with a sample; ``settings`` are the daemon's."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(folder / "data", settings) as daemon:
        bench = _Bench(daemon, report, folder / "strace", full=full)
        turns = count()
        for act in acts:
            cases = list(_cases(act, (call for call in bench.calls_of(act) if call.name in names)))
            for case in _thinned(cases) if full else _sample(cases, turns):
                bench.try_case(case)
        bench.finish()


def _cases(act: Act, calls: Iterable[Call]) -> Iterator[Case]:
    for call in calls:
        errors = (*_DISK_ERRORS, "EMFILE") if call.name.startswith("open") else _DISK_ERRORS
        for error in errors:
            yield Case(act, call, error, lasting=False)
            yield Case(act, call, error, lasting=True)


def _thinned(cases: Iterable[Case]) -> Iterator[Case]:
    """Of many calls of one name on one kind of file the first ones, the last ones and some between."""
    for group in _groups(cases):
        calls = list(dict.fromkeys(case.call for case in group))
        chosen = {*calls[:_FULL_EDGE], *calls[-_FULL_EDGE:], *calls[:: len(calls) // _FULL_EDGE + 1]}
        yield from (case for case in group if case.call in chosen)


def _sample(cases: Iterable[Case], turns: Iterator[int]) -> Iterator[Case]:
    """The first and the last call of each name on each kind of file, each with the error whose turn it is.

    A sync fails with an I/O error as well, alone.
    """
    for group in _groups(cases):
        for call in dict.fromkeys((group[0].call, group[-1].call)):
            choice = [case for case in group if case.call == call]
            yield choice[next(turns) * _STRIDE % len(choice)]
            if call.name in _SYNCS:
                yield from (case for case in choice if case.error == "EIO" and not case.lasting)


def _groups(cases: Iterable[Case]) -> Iterable[list[Case]]:
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.call.name, _kind(case.call)), []).append(case)
    return groups.values()


def _kind(call: Call) -> str:
    """What kind of file of the data folder a call is on."""
    *_, folder, name = call.path.split("/")
    return folder if folder in {"backup", "sha256", "sha512", "uploads"} else name


class _Bench:
    """A daemon, what it acknowledged, and what was found wrong."""

    def __init__(self, daemon: Daemon, report: Report, log: Path, *, full: bool) -> None:
        self.daemon = daemon
        self.ledger = Recorder(daemon)
        self.report = report
        self._log = log
        self._full = full
        self._turns: Counter[str] = Counter()
        self._manifest = make_image()
        assert self.ledger.push(_BASE, CONFIG) == 201
        assert self.ledger.push_manifest(_BASE, self._manifest, ("base",)) == 201

    def calls_of(self, act: Act) -> list[Call]:
        """What the act calls on the data folder where nothing fails, once it was done before."""
        act.prepare(self.ledger, self._repository(act))()
        perform = act.prepare(self.ledger, self._repository(act))
        with watching(self.daemon.process.pid, self._log) as trace:
            perform()
        self._say(f"{act.name} without a fault", self._verify())
        return trace.inside(self.daemon.data)

    def try_case(self, case: Case) -> None:
        name = self._repository(case.act)
        perform = case.act.prepare(self.ledger, name)
        with watching(self.daemon.process.pid, self._log, case.fault) as trace:
            perform()
            answer = self.ledger.last
            during = self._read()
        hit = [call for call in trace.inside(self.daemon.data) if call.injected]
        if not hit:
            self._figure("not reached")
            return
        self.report.states += 1
        self._say(f"{case}: while it lasts", during if len(trace.injected) == 1 else [])
        if self.daemon.process.poll() is not None:
            self._say(str(case), [] if case.error == "EIO" else ["the daemon ended"])
            self._figure("ended by EIO")
            self.daemon.start()
        elif sentence := _judge(case, hit, trace, answer):
            self._say(str(case), [sentence])
        self._say(f"{case}: after it", [*self._read(), *self._verify()])
        self._restart_where_in_doubt(case, hit, answer, name)
        self._repeat(case, perform, may_be_gone=case.act.may_be_gone or _may_have_ended(case, hit, answer))

    def _restart_where_in_doubt(self, case: Case, hit: Sequence[Call], answer: Reply | None, name: str) -> None:
        """What was seen after a COMMIT that failed has to be so after a restart too."""
        log = {call.name for call in hit if _kind(call) == "registry.db-wal"}
        if _succeeded(answer) or not log or not (self._full or (log & _SYNCS and str(case.fault).startswith("EIO"))):
            return
        self.restart()
        self.ledger.touch(name)
        self._say(f"{case}: after a restart", self._verify())

    def _repeat(self, case: Case, perform: Perform, *, may_be_gone: bool) -> None:
        """The same request once more, without a fault."""
        perform()
        answer = self.ledger.last
        if not _succeeded(answer) and not (may_be_gone and answer is not None and answer[0] == 404):
            self._say(f"{case}: repeated", [f"the same request is answered with {describe(answer)}"])
        self._say(f"{case}: repeated", self._verify())

    def restart(self) -> None:
        """In turns by SIGTERM and by SIGKILL, which leaves the write-ahead log to be recovered."""
        self._figure("restarts")
        if self.report.figures["restarts"] % 2:
            kill(self.daemon)
        elif status := self.daemon.stop():
            self._say("at SIGTERM", [f"the daemon ended with {status}"])
        self.daemon.start()

    def finish(self) -> None:
        """Ask for everything once more, after a restart."""
        self.restart()
        self._say("at the end", self.ledger.verify())
        self.report.acknowledged += self.ledger.acknowledged

    def _repository(self, act: Act) -> str:
        self._turns[act.name] += 1
        return f"{act.name}/{self._turns[act.name]}"

    def _read(self) -> list[str]:
        """Pull what was pushed at the beginning."""
        wanted = {"manifests/base": self._manifest, f"blobs/{digest_of(CONFIG)}": CONFIG}
        found = []
        for path, content in wanted.items():
            try:
                status, _, body = self.daemon.request("GET", f"/v2/{_BASE}/{path}")
            except (OSError, HTTPException) as error:
                found.append(f"GET of {path} is not answered: {error!r}")
                continue
            if (status, body) != (200, content):
                found.append(f"GET of {path} is answered with {status} {body[:120]!r}")
        return found

    def _verify(self) -> list[str]:
        return self.ledger.verify(touched_only=True, close_uploads=False)

    def _say(self, where: str, sentences: Iterable[str]) -> None:
        self.report.lost += [f"{where}: {sentence}" for sentence in sentences]

    def _figure(self, name: str) -> None:
        self.report.figures[name] = self.report.figures.get(name, 0) + 1


def _succeeded(answer: Reply | None) -> bool:
    return answer is not None and 200 <= answer[0] < 300


def _judge(case: Case, hit: Sequence[Call], trace: Trace, answer: Reply | None) -> str | None:
    """What is wrong with the answer to a request in which these calls failed; None where nothing is."""
    if answer is None:
        return "the request is not answered"
    if _succeeded(answer):
        needed = [call for call in hit if _is_needed(call) and not _is_made_up_for(call, trace)]
        return f"acknowledged with {answer[0]}, and {needed[0].name} of {needed[0].path} had failed" if needed else None
    right = _RIGHT_STATUS[case.error]
    if all(_is_hidden(case.error, call) for call in hit):
        right = {500, 503, 507}
    if answer[0] not in right:
        return f"answered with {describe(answer)}, expected {' or '.join(map(str, sorted(right)))}"
    return None if has_envelope(answer) else f"answered with {describe(answer)}, which is not the spec's envelope"


def _is_needed(call: Call) -> bool:
    return call.name not in _MAY_FAIL_UNSEEN and _kind(call) not in _NOT_NEEDED


def _is_made_up_for(call: Call, trace: Trace) -> bool:
    """Whether the database's log holds the transaction durably all the same.

    Either it was written and synced again afterwards, or this was the sync that begins a checkpoint, and nothing was
    written since the one that ended the COMMIT.
    """
    if _kind(call) != "registry.db-wal":
        return False
    index = trace.calls.index(call)
    before = [each.name for each in trace.calls[:index] if each.path == call.path and not each.injected]
    after = {each.name for each in trace.calls[index + 1 :] if each.path == call.path and not each.injected}
    is_done_again = not after.isdisjoint(_SYNCS) and not after.isdisjoint(_SQLITE_WRITES)
    return is_done_again or (call.name in _SYNCS and bool(before) and before[-1] in _SYNCS)


def _is_hidden(error: str, call: Call) -> bool:
    """Whether SQLite makes an I/O error like any other of it: it knows a lack of space only when it writes."""
    is_known = error == "ENOSPC" and call.name in _SQLITE_WRITES
    return _kind(call).startswith("registry.db") and not is_known


def _may_have_ended(case: Case, hit: Sequence[Call], answer: Reply | None) -> bool:
    """Whether the upload is over: it was closed after all, or a COMMIT failed of which nobody can tell what it did."""
    return case.act.ends_upload and (_succeeded(answer) or any(_kind(call) == "registry.db-wal" for call in hit))
