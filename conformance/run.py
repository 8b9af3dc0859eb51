"""Running cases one after the other, and what came of each."""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.case import Failed, Skipped
from conformance.client import Client
from conformance.outcome import Outcome, Status
from conformance.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.auth import Credentials
    from conformance.case import Case
    from conformance.exchange import Exchange
    from conformance.target import Shared


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the registry, and who is told of each exchange."""

    url: str
    credentials: Credentials | None = None
    insecure: bool = False
    observe: Callable[[Exchange], None] = lambda _: None

    def client(self) -> Client:
        return Client(self.url, self.credentials, insecure=self.insecure, observe=self.observe)


def run_prefix() -> str:
    """A name that no other run has used, so that no case finds what an earlier run left."""
    return f"run-{os.urandom(4).hex()}"


def run_cases(cases: Sequence[Case], connection: Connection, shared: Shared) -> Iterator[Outcome]:
    for case in cases:
        outcome = run_case(case, connection, shared)
        shared.exchanges.extend(outcome.exchanges)
        yield outcome


def run_case(case: Case, connection: Connection, shared: Shared) -> Outcome:
    client = connection.client()
    started = time.monotonic()
    status, reason = Status.PASSED, ""
    try:
        case.run(Target(case.id, client, shared))
    except Failed as failure:
        status, reason = Status.FAILED, str(failure)
    except Skipped as choice:
        status, reason = Status.SKIPPED, str(choice)
    except Exception:  # noqa: BLE001 (a case with a fault must not hide the result of the others)
        status, reason = Status.ERROR, traceback.format_exc(limit=-3)
    finally:
        client.close()
    return Outcome(case, status, reason, time.monotonic() - started, tuple(client.exchanges))
