"""What a run found, for a terminal, for a CI server, for a browser and for a repository."""
