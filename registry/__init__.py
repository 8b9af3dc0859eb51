"""Cargohold: an OCI container registry in one daemon and one SQLite file."""
