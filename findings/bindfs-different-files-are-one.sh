#!/usr/bin/env bash
# bindfs 1.14.7 (Debian): of two file systems seen through one mount, different files have one number, and are taken for one file.
#
# Source: seen with Debian 12's package; bindfs(1) says nothing of numbers. By POSIX (sys/stat.h) st_dev and st_ino together
#         tell a file from all others.
# Guess:  bindfs gives numbers of its own, or mixes in the device, as mergerfs does; cmp and diff read what they compare.
# Seen:   a file has the number it has below, and all have bindfs's device. cmp and diff -r find two different files equal, without
#         reading them; cp refuses; tar keeps one of two contents where both files have several names; h5py opens the second
#         path and reads the first file. All without an error, but for cp.
# Hurts:  who copies from one area to another and compares the two through one bindfs: it is equal whatever is there.
#
# Ends with 0 if that is still so. Needs root, /dev/fuse, Python 3.11 or newer, and apt-get with Debian 12's packages.
set -euo pipefail
place=$(mktemp -d)
trap 'umount "$place/seen" "$place/data/spool" "$place/data/qa2" 2>/dev/null || true; rm -rf "$place"' EXIT
chmod 755 "$place"
mkdir -p "$place/packages" "$place/root" "$place/data/spool" "$place/data/qa2" "$place/seen" "$place/unpacked"
cd "$place/packages"
apt-get -qq download bindfs=1.14.7-1 libfuse2=2.9.9-6+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" "$place/root"; done
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install h5py==3.16.0
cd "$place"
for area in spool qa2; do
  mount -t tmpfs none "data/$area"
  echo "$area" >"data/$area/log"
  venv/bin/python -c "import h5py; h5py.File('data/$area/image.h5', 'w')['area'] = '$area'"
done
echo qa2.. >data/qa2/log  # as long as the other
LD_LIBRARY_PATH="$place/root/lib/x86_64-linux-gnu:$place/root/usr/lib/x86_64-linux-gnu" root/usr/bin/bindfs data seen
stat -c '%n: device %d, number %i' data/*/* seen/*/*

if cmp -s data/spool/log data/qa2/log; then exit 1; fi
echo "cmp below: different"
cmp seen/spool/log seen/qa2/log
diff -r seen/spool seen/qa2
echo "cmp and diff -r through bindfs: equal"
if cp seen/spool/log seen/qa2/log; then exit 1; fi

venv/bin/python - <<'PYTHON'
import h5py

with h5py.File("seen/spool/image.h5") as one, h5py.File("seen/qa2/image.h5") as other:
    areas = [file["area"].asstr()[()] for file in (one, other)]
print(f"h5py opens image.h5 of spool and of qa2: {areas}")
assert areas == ["spool", "spool"]
PYTHON

for area in spool qa2; do ln "seen/$area/log" "seen/$area/log.1"; done
sleep 2  # until the kernel has forgotten the numbers of names
tar -C seen -cf archive.tar spool qa2
tar -C unpacked -xf archive.tar
echo "unpacked from tar: $(sort -u unpacked/*/log* | tr '\n' ' ')"
[ "$(sort -u unpacked/*/log* | wc -l)" = 1 ]
