"""The conveyance engine: look (``survey``), decide (``planner``), act (``executor``).

``ends`` are the two folders that a conveyance runs between, ``carry`` moves one directory from one to the other while its
path keeps working, ``claim`` keeps two conveyances of one request apart, ``history`` and ``receipt`` are what is written
down. ``conveyance`` puts them in order.
"""
