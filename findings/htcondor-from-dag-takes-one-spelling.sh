#!/usr/bin/env bash
# htcondor 25.14.1 (module htcondor2): Submit.from_dag takes an option in one spelling or in two, and no rule tells which.
#
# Source: seen with the package from PyPI; options of condor_submit_dag(1) by their names there.
# Guess:  the option names of condor_submit_dag in snake case, or in camel case as in the first bindings, all of one kind.
# Seen:   'maxidle' and 'MaxIdle', 'batch-name' and 'BatchName', and 'include_env' are known; 'batch_name', 'IncludeEnv' and
#         'max_idle' are not. An unknown one is KeyError; a known one goes on to look for condor_dagman, which is
#         HTCondorException where HTCondor itself is not installed.
# Hurts:  who moves a script from the first bindings, where each was written as in IncludeEnv, or writes what Python expects.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer, and no HTCondor.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install htcondor==25.14.1
cd "$place"
mkdir bin
PATH="$place/bin:/usr/bin:/bin" CONDOR_CONFIG=ONLY_ENV "$place/venv/bin/python" - 2>/dev/null <<'PYTHON'
import shutil
from pathlib import Path

import htcondor2

assert shutil.which("condor_dagman") is None, "HTCondor is installed here"
Path("one.sub").write_text("executable = /bin/true\nqueue\n")
Path("one.dag").write_text("JOB A one.sub\n")
known = {"maxidle": 1, "MaxIdle": 1, "batch-name": "a", "BatchName": "a", "include_env": "TZ"}
unknown = {"max_idle": 1, "batch_name": "a", "IncludeEnv": "TZ"}
for name, value in (known | unknown).items():
    try:
        htcondor2.Submit.from_dag("one.dag", {name: value})
        found = "taken"
    except KeyError:
        found = "unknown"
    except htcondor2.HTCondorException as error:
        assert "condor_dagman" in str(error)
        found = "known"
    print(f"{name}: {found}")
    assert found == ("known" if name in known else "unknown")
PYTHON
