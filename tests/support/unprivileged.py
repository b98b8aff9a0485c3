"""Act as an unprivileged account, in a forked child: what root may do hides what the service account meets."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOBODY = 65534


def as_nobody(root: Path) -> Callable[[Callable[[], Any]], Any]:
    """Give everything below ``root`` to an unprivileged account; a function that runs another one as that account and
    gives back what it returned, by way of JSON."""
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(folder, name), _NOBODY, _NOBODY, follow_symlinks=False)

    def run(act: Callable[[], Any]) -> Any:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            answer = None
            try:
                os.setgroups([])
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
                answer = {"answer": act()}
            except BaseException:  # noqa: BLE001 - a child of a test must not return into pytest
                answer = {"failure": traceback.format_exc()}
            finally:
                os.write(writing, json.dumps(answer).encode())
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as stream:
            answer = json.loads(stream.read())
        os.waitpid(child, 0)
        assert "answer" in answer, answer["failure"]
        return answer["answer"]

    return run
