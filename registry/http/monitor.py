"""What /metrics tells beside the state of the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry.http.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry.http.certificates import Certificates


@dataclass(frozen=True, slots=True)
class Monitor:
    """One of these outlives the applications that are made anew with other settings."""

    traffic: Traffic = field(default_factory=Traffic)
    certificates: Certificates | None = None
    sources: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Each brings here what other processes have counted."""

    async def gather(self) -> None:
        for source in self.sources:
            await source()
