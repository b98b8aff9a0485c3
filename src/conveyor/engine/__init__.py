"""The conveyance engine: look (``survey``), decide (``planner``), act (``executor``); ``conveyance`` puts them in order.

``endpoints`` are the two directories that a conveyance runs between. A plan is made of ``steps``; ``move`` takes one
directory from one endpoint to the other while its path keeps working. ``claim`` keeps two conveyances of one request apart,
and ``event_log`` writes down what was done.
"""
