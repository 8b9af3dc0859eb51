"""The database's schema as numbered SQL files: applied in order, each in a transaction, never edited once released."""
