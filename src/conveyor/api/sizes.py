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


def duration_text(seconds: float) -> str:
    """Return a length of time in its two largest units: ``3 d 4 h``, ``41 min``, ``12 s``."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    rest, parts = round(max(0.0, seconds)), list[tuple[int, str]]()
    for unit, length in units:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append((count, unit))
    shown = [f"{count} {unit}" for count, unit in parts[:2] if count and (unit != "s" or len(parts) == 1)]
    return " ".join(shown) or "0 s"


def to_tidy_text(count: int) -> str:
    """Return how many directories may go that were copied, and stayed for readers on other hosts."""
    return (
        f"{count} {'source of a copy' if count == 1 else 'sources of copies'}, kept for readers on other hosts, may go"
    )
