"""Copy, compare and remove whole trees, by several processes; copies are verified, and resumed after a crash.

``transfer`` makes a verified copy and keeps a ``manifest`` of it; ``check_manifest`` compares either side with the manifest:
``changes`` by a stat of each entry, ``verify`` by reading all of it again, at any later time.
"""
