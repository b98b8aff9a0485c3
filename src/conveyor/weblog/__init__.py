"""The weblog: the tar that CASA's pipeline exports, cached with its unpacked tree where a web server can show it.

The threat: any account or job that may write in a request's ``products`` could have made the tar, and Conveyor unpacks it
as a service account, into a tree that a web server shows. A hostile tar could try to write outside its tree or to show what
is there (names, links, devices), to replace what is there, to fill the disk or to keep a host busy (bombs, endless
headers), or to look different to the program that checks it and to the one that unpacks it. Each of these is refused.

``source`` opens the tar and looks out for writers. ``inflate``, ``stream`` and ``headers`` read it, with the help of
``fields``, ``names``, ``sparse`` and, for what is no tar, ``formats``. ``reader`` lets through only what may stand in a
weblog, ``writer`` makes it on disk, ``cache`` puts tar and tree in place with one rename.
"""
