"""Whole trees to another file system: copied by several processes, verified, resumed after a crash.

``transfer`` brings a verified copy about and keeps a ``manifest`` of it; ``changes`` says whether either side still is what
the manifest says; ``verify`` reads a copy again, at any later time.
"""
