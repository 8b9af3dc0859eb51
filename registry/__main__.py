"""``python -m registry`` is ``cargohold``."""

from registry.cli import main

main(prog_name="cargohold")
