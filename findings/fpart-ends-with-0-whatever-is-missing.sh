#!/usr/bin/env bash
# fpart 1.5.1 (Debian 12): what it cannot read, the whole tree even, is in none of its lists, and it ends with 0.
#
# Source: seen with Debian 12's package; fpart(1) says nothing of an exit status.
# Guess:  a line on stderr, and an exit status above 0, as by find, du and rsync, for one directory that may not be read; and an
#         error if the path itself is missing.
# Seen:   the line is there. The status is 0 for a directory below, for the one that was named, and for a path that does not exist;
#         the lists are written without it, or there is none.
# Hurts:  who feeds parallel copies by its lists and looks at exit statuses: the copies end well too, and something is not there.
#
# Ends with 0 if that is still so. Needs apt-get with Debian 12's packages (they are not installed); setpriv, for root.
set -euo pipefail
place=$(mktemp -d)
trap 'chmod -R u+rwx "$place"; rm -rf "$place"' EXIT
mkdir "$place/package"
cd "$place/package"
apt-get -qq download fpart=1.5.1-1 2>/dev/null
dpkg -x fpart_*.deb .
mkdir -p "$place/data/open" "$place/data/shut"
cd "$place"
echo content | tee data/open/file >data/shut/file
account=()
if [ "$(id -u)" = 0 ]; then  # whom no mode keeps out
  chown -R nobody "$place"
  account=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
chmod 000 data/shut

parts() {
  local status=0
  rm -f list.*
  "${account[@]}" package/usr/bin/fpart -n 2 -o "$place/list" "$1" 2>words || status=$?
  lists=$(cat list.* 2>/dev/null || true)
  echo "fpart $1: status $status, says '$(grep -E 'denied|No such' words)', lists '$lists'"
  [ "$status" = 0 ]
}

status=0
"${account[@]}" find data >/dev/null 2>&1 || status=$?
echo "find data: status $status"
[ "$status" = 1 ]
parts data
[ "$lists" = data/open/file ]
parts data/shut
[ -z "$lists" ]
parts missing
[ -z "$lists" ]
