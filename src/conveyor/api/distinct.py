"""Each request of a command once, though several metadata files name it."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError
from conveyor.request.metadata import read_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conveyor.engine.outcome import Outcome

#: The metadata files to act on, in order, each with the further ones that name the same request.
Files = dict[Path, tuple[Path, ...]]


def distinct(metadata: Sequence[Path]) -> Files:
    """Tell which metadata files name the same request: links, spellings of one path, and copies of one file."""
    if len(metadata) == 1:  # so that it is read only once
        return {metadata[0]: ()}
    named: dict[str, list[Path]] = {}
    for path in metadata:
        named.setdefault(_request(path), []).append(path)
    return {first: tuple(others) for first, *others in named.values()}


def _request(path: Path) -> str:
    """Return the real path of the request that a file names; the path of the file itself, if it is refused."""
    try:
        return posixpath.realpath(read_metadata(path).destinationDirectory)
    except ConveyorError:
        return str(path)


def repeated(outcome: Outcome, files: Mapping[Path, Sequence[Path]]) -> Outcome:
    """Return an outcome with a warning if its request was named more than once."""
    others = files.get(Path(outcome.metadata), ()) if outcome.metadata is not None else ()
    if not others:
        return outcome
    text = f"named {len(others) + 1} times, acted on once: also by {', '.join(map(str, dict.fromkeys(others)))}"
    return replace(outcome, warnings=(*outcome.warnings, text))
