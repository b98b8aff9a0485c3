"""The one layer that changes anything on disk.

``port`` says what the layers above may ask for, ``posix`` does it with the operating system's calls, ``tree`` copies,
compares and removes whole trees with the same calls.
"""
