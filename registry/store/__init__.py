"""The state: rows in one SQLite file, and files named by their digest.

Laws of this layer:

* ``COMMIT`` returns only when the transaction is durable (WAL, ``synchronous=FULL``). A ``COMMIT`` that raised is
  unknown, not failed: the database is reopened and its commit counter tells whether the batch landed.
* A row never points to a missing file; a file without a row is garbage. A blob's file is synced, renamed and its
  directory synced before the transaction that inserts its row.
* One process writes, on one connection, which also checkpoints, unless that is left to a program beside it (litestream,
  which counts its own steps in a table). Readers open ``mode=ro``, and close first.
* A link between a repository and a blob is marked as unreferenced by the transaction that makes it so. The foreign key
  of an edge keeps the link, a trigger keeps the blob from being condemned while a link stands.
* Ages are told on the daemon's clock, ``tx.clock_ms``; wall time is for display.
* An upload's row is the truth, and its file is at least as long as the row says. No hash state is stored.
* A transaction is a function of a ``ReadTx`` or ``WriteTx``; its SQL stands in it. Time is ``tx.now_ms``
  and ``tx.clock_ms``, one moment per transaction. HTTP and policy are not known here.
"""
