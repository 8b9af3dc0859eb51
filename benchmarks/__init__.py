"""Figures: ``python -m benchmarks`` measures this registry beside others, ``python -m benchmarks.<name>`` one thing.

Of the former, ``peers`` knows how each registry is started, ``loads`` what is done to it, ``wrk`` and ``client`` do it,
and ``figures``, ``report`` and ``plot`` say what came of it. No test times anything.
"""
