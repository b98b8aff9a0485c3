#!/usr/bin/env bash
# lsyncd 2.2.3 (Debian 12): once two directories have traded names, what happens in one of them reaches the mirror no more.
#
# Source: seen with Debian 12's package; lsyncd(1) says nothing of directories that move. renameat2(2) has RENAME_EXCHANGE.
# Guess:  an exchange is mirrored as the same swap by three renames is, and so is all that comes after it.
# Seen:   the exchange itself is mirrored. From then on nothing is seen of what happens directly in its second directory: a new
#         file, one that is written to, one that is removed. What is in the first one, and in the folders below both, goes over
#         as before, so that the mirror looks alive. No word in the log. After three renames all is mirrored.
# Hurts:  who keeps a second copy of an area in which versions of a directory are swapped: it is behind, and nothing shows it.
#
# Ends with 0 if that is still so. Needs Python 3, rsync, Debian 12's packages by apt-get, and a file system with RENAME_EXCHANGE.
set -euo pipefail
place=$(mktemp -d) lsyncd=
trap '[ -z "$lsyncd" ] || kill "$lsyncd"; rm -rf "$place"' EXIT
chmod 755 "$place"
mkdir "$place/packages" "$place/root"
cd "$place/packages"
apt-get -qq download lsyncd=2.2.3-1+b1 liblua5.3-0=5.3.6-2 2>/dev/null
for package in *.deb; do dpkg -x "$package" "$place/root"; done
cd "$place"
export LD_LIBRARY_PATH=$place/root/usr/lib/x86_64-linux-gnu

same() {  # whether area and mirror are, within 15 seconds
  for _ in {1..15}; do
    diff -rq area mirror >difference && return
    sleep 1
  done
  return 1
}

mirrored() {  # what is not, after SWAP of new and old (a command), is in the file difference
  mkdir -p area/new/below area/old/below mirror
  touch area/new/{new,removed,written} area/old/{removed,written}
  root/usr/bin/lsyncd -nodaemon -delay 1 -rsync "$place/area" "$place/mirror" >log 2>&1 &
  lsyncd=$!
  same
  "$1"
  same
  for directory in area/{new,old}{,/below}; do
    echo text | tee "$directory/made" >"$directory/written"
  done
  rm area/{new,old}/removed
  same || true
  kill "$lsyncd"
  wait "$lsyncd" || true; lsyncd=
  rm -r area mirror
}
renames() { mv area/new area/t && mv area/old area/new && mv area/t area/old; }
exchange() { python3 -c 'import ctypes; assert not ctypes.CDLL(None).renameat2(-100, b"area/new", -100, b"area/old", 2)'; }

mirrored renames
[ ! -s difference ]
echo "three renames: all is mirrored"
mirrored exchange
echo "an exchange:"
cat difference
[ "$(cat difference)" = "Only in area/old: made
Only in mirror/old: removed
Files area/old/written and mirror/old/written differ" ]
if grep -iE 'error|warn' log; then exit 1; fi
