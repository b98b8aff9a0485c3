"""The reference page of file systems says what the real ones do."""

from __future__ import annotations

import os

import pytest

from tools.file_systems import KINDS, PAGE, VIEWS, WAYS, Kind, row

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


def published(label: str) -> dict[str, str]:
    """The cells of a file system on the page, by column."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    cells = [row for row in rows if row[0] == label]
    found: dict[str, str] = {}
    for line, columns in zip(cells, (WAYS, VIEWS), strict=True):
        found |= zip(columns, line[2:], strict=True)
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.quick], ids=lambda kind: kind.label)
def test_the_page_says_what_is_so(kind: Kind) -> None:
    """Every cell of the file systems in the kernel is tried again, and is what the page has."""
    version, found = row(kind)
    if version.startswith("not tried"):
        pytest.skip(version)
    assert found == published(kind.label)
