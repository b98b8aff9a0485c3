"""The one layer that changes anything on disk.

``posix`` has the operations that the layers above ask for; ``treecopy`` copies, compares and removes whole trees with the
same calls.
"""
