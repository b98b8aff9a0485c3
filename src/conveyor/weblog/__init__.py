"""The weblog: the tar that CASA's pipeline exports, cached with its unpacked tree where a web server can show it.

``inflate``, ``stream`` and ``headers`` read an untrusted tar, ``reader`` lets through only what may stand in a weblog,
``writer`` makes it on disk, ``cache`` puts tar and tree in place with one rename.
"""
