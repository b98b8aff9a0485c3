#!/usr/bin/env bash
# watchdog 7.1.0: once two watched directories have traded names, what happens in either is reported under the other's name.
#
# Source: seen with the package from PyPI; renameat2(2) has RENAME_EXCHANGE, inotify(7) reports it as two moves.
# Guess:  after the two moves each event has the path that the file has now, as after any other move of a directory.
# Seen:   a new file in one is reported in the other, where there is none: until the observer ends, which it does with KeyError. It
#         is so for the directories below as well. watchfiles 1.3.0 has the right paths.
# Hurts:  who swaps a new version of a directory with the old one, below a folder that somebody's watcher mirrors, indexes
#         or processes: each file from then on is looked for in the wrong version.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer on Linux, on a file system that can exchange names.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install watchdog==7.1.0 watchfiles==1.3.0
cd "$place"
mkdir -p watched/old/below watched/new/below
"$place/venv/bin/python" - <<'PYTHON'
import ctypes
import os
import threading
import time
from pathlib import Path

import watchfiles
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

seen: dict[str, list[str]] = {"watchdog": [], "watchfiles": []}
handler = FileSystemEventHandler()
handler.on_created = lambda event: seen["watchdog"].append(event.src_path)


def watch() -> None:
    for changes in watchfiles.watch("watched", debounce=50, step=10):
        seen["watchfiles"] += [os.path.relpath(path) for change, path in changes if change.name == "added"]


threading.Thread(target=watch, daemon=True).start()
observer = Observer()
observer.schedule(handler, "watched", recursive=True)
observer.start()
time.sleep(2)
assert ctypes.CDLL(None).renameat2(-100, b"watched/old", -100, b"watched/new", 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
time.sleep(2)
for written, reported in (("old/a", "new/a"), ("new/b", "old/b"), ("old/below/c", "new/below/c")):
    seen.update(watchdog=[], watchfiles=[])
    Path("watched", written).touch()
    time.sleep(2)
    print(f"made watched/{written}: {seen}")
    assert seen == {"watchdog": [f"watched/{reported}"], "watchfiles": [f"watched/{written}"]}
    assert not os.path.exists(f"watched/{reported}")
try:
    observer.stop()
    raise AssertionError("it ends well now")
except KeyError as error:
    print(f"the observer's end: KeyError: {error}")
os._exit(0)  # its threads go on
PYTHON
