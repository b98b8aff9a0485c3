"""Refuse a commit message whose subject is longer than 72 characters: run by pre-commit as git's ``commit-msg`` hook."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 72


def subject(message: str) -> str:
    """The first line that is neither blank nor a comment, which git takes away."""
    lines = (line.strip() for line in message.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


if __name__ == "__main__":
    length = len(subject(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if length > LIMIT:
        sys.exit(f"the subject has {length} characters, and may have {LIMIT}: the body has room for the rest")
