"""Amounts for people."""

from __future__ import annotations


def size_text(count: int) -> str:
    """So many bytes, in three digits and a unit of powers of 1000."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} PB"
