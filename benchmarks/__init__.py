"""Figures, each made by one command: ``python -m benchmarks.<name>``. No test times anything."""
