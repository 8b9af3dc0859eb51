"""The words of the OCI specifications, as values and pure functions.

Laws of this layer:

* It is synchronous and imports the standard library only: no clock, no files, no sockets, no chance.
* A value that exists is valid. Whoever holds a ``RepositoryName``, ``Tag`` or ``Digest`` need not check it again.
* ``parse(str(value)) == value`` for each of them.
* Bytes are never re-serialised; a manifest is read, and kept as it was pushed.
* What is wrong is raised in the spec's own words (``errors``); the HTTP status is not known here.
"""
