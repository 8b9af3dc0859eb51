"""The service under a real systemd, booted in a container on a throw-away layer over this machine's files."""
