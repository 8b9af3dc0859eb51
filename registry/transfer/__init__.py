"""Images between the registry and files: OCI layouts, OCI tars, docker archives.

Laws of this layer:

* It is a client: it knows the registry by its HTTP API, through the admin socket, so that an import is an ordinary
  push and every digest is verified by who stores it.
* It is synchronous; it runs in the process of a command, with the rights of who calls it.
* Nothing is unpacked: members of an archive are looked up by name and read, never written under that name.
"""
