"""Paths on the command line.

Whether one can be read is found out by what reads it, which tells a file system's error (74) and a missing permission (77)
apart. Click would ask ``access``, and call each of them a mistake on the command line, after which no retry helps.
"""

from __future__ import annotations

import click

ANY = click.Path(readable=False)
FILE = click.Path(dir_okay=False, readable=False)
FOLDER = click.Path(file_okay=False, readable=False)
