"""Faults: what was acknowledged has to be there after each of them. ``python -m tests.faults`` runs every kind."""
