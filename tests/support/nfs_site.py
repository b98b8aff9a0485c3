"""Workspaces on a real NFS: a server, two clients, and commands of Conveyor that run on one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from support.workspace import Workspace, make_workspace
from tools.nfs import Client, Server

if TYPE_CHECKING:
    from pathlib import Path

    from tools.bench import Bench

_NUMBERS = count()


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit status, what it said, and what its document says of the request."""

    status: int
    said: str
    request: dict[str, Any]

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.request["error"]
        return error


@dataclass(frozen=True)
class Command:
    """A command of Conveyor that runs on a client."""

    process: subprocess.Popen[str]

    def end(self) -> Ending:
        out, err = self.process.communicate()
        requests = json.loads(out).get("requests") if out else None
        return Ending(self.process.returncode, out + err, requests[0] if requests else {})


@dataclass(frozen=True)
class Site:
    """A workspace, seen from a client; its QA areas may stand elsewhere."""

    client: Client
    workspace: Workspace

    def start(self, verb: str, *options: str, **settings: object) -> Command:
        environment = os.environ | {f"CONVEYOR_{name.upper()}": str(value) for name, value in settings.items()}
        if self.workspace.qa_root is not None:
            environment["CONVEYOR_QA_ROOT"] = str(self.workspace.qa_root)
        conveyor = (*self.client.prefix, sys.executable, "-m", "conveyor", verb, "--json", *options)
        command = (*conveyor, str(self.workspace.metadata))
        return Command(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )

    def run(self, verb: str, *options: str, **settings: object) -> Ending:
        return self.start(verb, *options, **settings).end()

    def succeed(self, verb: str, *options: str, **settings: object) -> Ending:
        ending = self.run(verb, *options, **settings)
        assert ending.status == 0, ending.said
        return ending


class Nfs:
    """The server, its two clients, and what they mount, each thing once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.server = Server(bench)
        self.clients = [Client.make(bench, self.server, number) for number in (1, 2)]
        self._mounted: dict[tuple[object, ...], Path] = {}

    def mounted(self, number: int, folder: Path, version: str, *options: str) -> Path:
        key = number, folder, version, options
        if key not in self._mounted:
            self._mounted[key] = self.clients[number].mount(folder, version, *options)
        return self._mounted[key]

    def site(self, spool: Path, qa: Path | None = None) -> Site:
        """A new workspace in a folder, for the first client; the QA areas in another folder, if one is given."""
        number = next(_NUMBERS)
        root = spool / f"site{number}"
        qa_root = qa / f"qa{number}" if qa is not None else None
        return Site(self.clients[0], make_workspace(root, qa_root=qa_root, cache=self.bench.folder(f"weblogs{number}")))
