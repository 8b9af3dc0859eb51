"""Units and settings as ``cargohold install-service`` puts them in place."""
