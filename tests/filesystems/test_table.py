"""The reference page of file systems says what the real ones do."""

from __future__ import annotations

import os

import pytest

from support.sweep import cannot
from tools.file_systems import KINDS, PAGE, VIEWS, WAYS, Kind, row

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

_CHANCE = "A path during renames"  # whether a reader looks at the wrong moment


def published(label: str) -> dict[str, str]:
    """The cells of a file system on the page, by column."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    cells = [row for row in rows if row[0] == label]
    return {column: cell for row, columns in zip(cells, (WAYS, VIEWS), strict=True) for column, cell in zip(columns, row[2:], strict=True)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.quick], ids=lambda kind: kind.label)
def test_the_page_says_what_is_so(kind: Kind) -> None:
    """Every cell of the file systems in the kernel is tried again, and is what the page has."""
    version, found = row(kind)
    if version.startswith("not tried"):
        cannot(version)
    wanted = published(kind.label)
    assert {**found, _CHANCE: ""} == {**wanted, _CHANCE: ""}
