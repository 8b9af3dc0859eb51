"""Processes that answer pulls beside the main one.

``workers`` and ``worker`` are the main process's view: it accepts all connections and deals some of them. ``process``
is what runs in a worker, started by ``__main__``; the two talk over a ``link``. A worker only reads, decides nothing
that is not in a row of the database, and gives back whatever connection asks for more than that.
"""
