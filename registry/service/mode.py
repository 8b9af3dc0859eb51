"""The switch with which an operator makes a running registry read-only, and what it says to clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import ParameterInvalid
from registry.store import audit, mode

if TYPE_CHECKING:
    from registry.service.registry import Registry
    from registry.store.audit import Author
    from registry.store.transactions import WriteTx

_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Mode:
    """``reason`` is the operator's, None where the switch is not set; the settings count beside it."""

    reason: str | None
    by_settings: bool

    @property
    def complaint(self) -> str | None:
        """Why nobody but the operator may change anything; None where others may."""
        if self.by_settings:
            return "this registry is read-only (access.read_only)"
        return None if self.reason is None else f"this registry is read-only: {self.reason}"


class ModeSwitch:
    """The row has it; it is kept here too, for each request that changes something asks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._reason: str | None = None

    def look(self) -> None:
        """Once the database is open, and when the row may have changed."""
        self._reason = self._registry.database.ask_now(mode.reason)

    @property
    def current(self) -> Mode:
        return Mode(self._reason, self._registry.policy.read_only)

    @property
    def complaint(self) -> str | None:
        """As of ``current``; mostly there is none, and then at less cost."""
        return self.current.complaint if self._reason is not None or self._registry.policy.read_only else None

    async def set(self, author: Author, reason: str | None) -> Mode:
        """Make it read-only for a reason, or read-write (None), from the next request on. Raises ParameterInvalid.

        Requests that have begun come to their end, and garbage collection goes on.
        """
        if reason is not None and not (reason.strip() and reason.isprintable() and len(reason) <= _REASON_LENGTH):
            raise ParameterInvalid(f"reason: expected one line of text, at most {_REASON_LENGTH} characters")
        try:
            await self._registry.database.write(_switch, author, reason)
        finally:
            self.look()  # whatever is known of the COMMIT
        return self.current


def _switch(tx: WriteTx, author: Author, reason: str | None) -> None:
    before = mode.reason(tx)
    if before != reason:
        mode.set_reason(tx, reason)
        audit.record(tx, author, "mode changed", before=_describe(before), after=_describe(reason))


def _describe(reason: str | None) -> str:
    return "read-write" if reason is None else f"read-only: {reason}"
