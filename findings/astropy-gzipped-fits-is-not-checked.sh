#!/usr/bin/env bash
# astropy 8.0.2: a damaged .fits.gz is read to its end without an error, since nobody asks for gzip's checksum.
#
# Source: seen with the package from PyPI. RFC 1952, 2.3.1, has the CRC at the end of a member; Python's gzip compares it when it
#         is read to the end of the file.
# Guess:  gzip guards its content: if a byte of the image is another one, reading the image raises BadGzipFile or OSError.
# Seen:   astropy reads as much as the headers say, and never comes to the end. Wrong pixels, a wrong checksum and a file
#         that was cut before its checksum are read as sound, also with lazy_load_hdus=False and verify("exception").
#         gzip -t and gzip.open(...).read() refuse all three.
# Hurts:  who takes an image that opened, and whose pixels were all read, as proof that the file came over whole.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install astropy==8.0.2
cd "$place"
"$place/venv/bin/python" -W error - <<'PYTHON'
import gzip
import io
from pathlib import Path

import numpy as np
from astropy.io import fits

pixels = np.arange(90_000, dtype="i2").reshape(300, 300)
image = io.BytesIO()
fits.PrimaryHDU(pixels).writeto(image)
sound = gzip.compress(image.getvalue(), compresslevel=0)  # stored, so that one byte of the file is one of the image
flipped = bytearray(sound)
flipped[len(sound) // 2] ^= 0x10
checksum = bytearray(sound)
checksum[-6] ^= 0x10
files = {"sound": sound, "flipped": flipped, "checksum": checksum, "cut": sound[:-8]}
for name, content in files.items():
    path = Path(f"{name}.fits.gz")
    path.write_bytes(content)
    with fits.open(path, lazy_load_hdus=False) as hdus:
        hdus.verify("exception")
        read = hdus[0].data
    try:
        with gzip.open(path) as file:
            file.read()
        verdict = "sound"
    except (gzip.BadGzipFile, EOFError) as error:
        verdict = type(error).__name__
    different = int((read != pixels).sum())
    print(f"{name}: astropy reads it, {different} pixels are different; gzip says {verdict}")
    assert different == (name == "flipped")
    assert (verdict == "sound") == (name == "sound")
PYTHON
