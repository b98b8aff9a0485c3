"""The one place where the version stands: light to import, since every start of the program reads it."""

__version__ = "0.1.0"
