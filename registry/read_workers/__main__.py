"""The program of a read worker, which the daemon starts: ``python -m registry.read_workers DESCRIPTOR``."""

from __future__ import annotations

from registry.read_workers.lean import import_lean

if __name__ == "__main__":
    import_lean()

    from registry.read_workers.process import main

    main()
