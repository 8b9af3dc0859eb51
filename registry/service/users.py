"""The users that there are at this moment: those of the database, and those of an htpasswd file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.service.htpasswd import Htpasswd
from registry.service.principals import RESERVED, Kind
from registry.store import accounts

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.registry import Registry


class Users:
    """Where a name stands in both, that of the database counts. Raises HtpasswdInvalid."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._path: Path | None = None
        self._htpasswd: Htpasswd | None = None
        self.follow(registry.policy.access.htpasswd)

    def follow(self, path: Path | None) -> None:
        """Know those of this file from now on; raises HtpasswdInvalid, and then nothing has changed."""
        if path != self._path:
            self._htpasswd = None if path is None else Htpasswd(path)
            self._path = path

    def find(self, name: str) -> str | None:
        """The hash of the password that stands for the name now; None where it is no user's."""
        if ":" in name or name in RESERVED:
            return None
        account = self._registry.database.ask_now(accounts.find, name)
        if account is not None and account.kind == Kind.USER:
            return account.secret_hash
        return None if self._htpasswd is None else self._htpasswd.find(name)

    def pick(self, fraction: float) -> str | None:
        """The hash of some user, for a fraction of [0, 1): see ``passwords.Hashes``."""
        known = self._registry.database.read_now(accounts.count, Kind.USER)
        of_file = 0 if self._htpasswd is None else len(self._htpasswd)
        place = int(fraction * (known + of_file))
        if place < known:
            return self._registry.database.read_now(accounts.pick_secret_hash, Kind.USER, place)
        return None if self._htpasswd is None else self._htpasswd.pick((place - known + 0.5) / max(of_file, 1))
