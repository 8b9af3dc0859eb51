"""The tests. They mirror ``registry/``; ``tools/`` is what they share, ``clients/`` are runs of real clients."""
