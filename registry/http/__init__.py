"""The routes: they translate between HTTP and the acts of ``service``, and decide nothing.

Laws of this layer:

* A client is dangerous: each connection runs in a guard (``connection``), ends at most itself, and is never waited
  for without end.
* One parse, at the edge: past ``parameters`` there are values such as ``RepositoryName``, never text.
* What is answered does not depend on who carries it: the functions of ``manifests``, ``blobs``, ``uploads``,
  ``listings`` and ``probes`` take a ``Request`` and return an ``Answer``, and ``exchange`` asks them. ``app`` carries
  these through Quart; ``express`` reads the plainest requests from the socket itself, sends what is in memory straight
  to it, and lets a body go from there to the disk. A test holds the two to the same bytes.
* Nor does it depend on the process: a ``reader`` has the lane alone, for what only reads (``read_routes``), and gives
  back a connection that asks for more, before anything of an answer was sent.
* Default closed: every end point of ``routes`` names the action it performs, and a test holds the table complete.
* Only a RegistryError reaches a client, through one table of statuses (``errors``). Anything else is a 500, logged
  once with its traceback under the request's id.
"""
