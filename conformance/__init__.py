"""The distribution-spec as a kit that runs against any registry.

Source: distribution-spec, main branch. One case holds one MUST, SHOULD or MAY (``cases``); a case is a plain function
of a ``Target`` that raises ``Failed``, or ``Skipped`` where the spec lets a registry choose and its answer says so.
Nothing here imports ``registry``: the kit knows a registry by its answers alone, and ``lifecycle`` starts the daemon as
the process that a user would start.
"""
