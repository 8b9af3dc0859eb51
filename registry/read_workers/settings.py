"""What a read worker is told of the settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from registry.config import Settings


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """``issuers`` are names. Where requests are ``limited`` for each client, a worker answers none: it can't count
    those of the others. ``format`` and ``level`` are the log's.
    """

    mode: Literal["open", "basic", "token"]
    issuers: list[str]
    verified_seconds: float
    external_url: str
    trusted_proxies: list[str]
    stall_seconds: float
    is_limited: bool
    format: str
    level: str

    @classmethod
    def of(cls, settings: Settings) -> ReadSettings:
        return cls(
            mode=settings.access.mode or "open",
            issuers=[issuer.name for issuer in settings.access.issuers],
            verified_seconds=settings.scrub.verified_seconds,
            external_url=settings.http.external_url,
            trusted_proxies=settings.http.trusted_proxies,
            stall_seconds=settings.http.stall_seconds,
            is_limited=bool(settings.http.client_requests_per_second),
            format=settings.log.format,
            level=settings.log.level,
        )

    def encoded(self) -> dict[str, Any]:
        """What the initializer takes."""
        return asdict(self)
