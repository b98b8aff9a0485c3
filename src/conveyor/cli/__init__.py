"""The command line: the only layer that imports Click, and the only one that prints."""
