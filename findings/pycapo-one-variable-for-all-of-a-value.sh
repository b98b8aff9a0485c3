#!/usr/bin/env bash
# pycapo 0.3.1: in a property with two environment variables both become the first one's value; elsewhere than at its start none.
#
# Source: seen with the package from PyPI; its documentation does not say that variables are replaced.
# Guess:  each ${env:NAME} in a value is replaced by that variable, wherever it stands.
# Seen:   "${env:AREA}/${env:NAME}" is AREA/AREA. "/mnt${env:AREA}" stays as it is written. A variable that is not set is empty,
#         so that "${env:UNSET}/spool" is "/spool", at the top of the host. A name with a digit is not replaced. No error.
# Hurts:  who makes paths of two variables in a CAPO profile: they are valid paths, and lead to another place.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install pycapo==0.3.1
cd "$place"
mkdir capo
cat >capo/test.properties <<'PROPERTIES'
paths.start = ${env:AREA}/spool
paths.two = ${env:AREA}/${env:NAME}
paths.middle = /mnt${env:AREA}
paths.unset = ${env:UNSET}/spool
paths.digit = ${env:AREA2}/spool
PROPERTIES
env -u UNSET AREA=/lustre NAME=observer AREA2=/lustre2 "$place/venv/bin/python" - <<'PYTHON'
from pycapo import CapoConfig

capo = CapoConfig(profile="test", path="capo")
expected = {
    "paths.start": "/lustre/spool",
    "paths.two": "/lustre//lustre",
    "paths.middle": "/mnt${env:AREA}",
    "paths.unset": "/spool",
    "paths.digit": "${env:AREA2}/spool",
}
for name, value in expected.items():
    print(f"{name}: {capo[name]}")
    assert capo[name] == value
PYTHON
