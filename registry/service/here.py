"""What a process that only reads does not do itself."""

from __future__ import annotations


class NotHere(Exception):
    """The main process has to answer: it alone writes, verifies passwords, and knows what is in no row.

    Raised before anything of an answer was sent.
    """
