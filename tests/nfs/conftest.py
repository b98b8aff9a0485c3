"""A real server of NFS with two clients, in the machine that ``nox -s nfs`` starts; elsewhere these tests are skipped."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.nfs_site import Nfs
from tools.bench import Bench
from tools.machine import IS_INSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def nfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nfs]:
    """The server and its clients, for all tests of a session."""
    if not IS_INSIDE:
        pytest.skip("needs the machine that 'nox -s nfs' starts")
    with ExitStack() as stack:
        yield Nfs(Bench(tmp_path_factory.mktemp("nfs"), stack))
