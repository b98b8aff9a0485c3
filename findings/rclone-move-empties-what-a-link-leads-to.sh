#!/usr/bin/env bash
# rclone 1.60.1 (Debian 12): move -L takes files away from behind links to folders; elsewhere it moves links in the place of files.
#
# Source: seen with Debian 12's package, whose manual says that -L follows a link "and copy the pointed to file or directory", that
#         links are ignored otherwise, and of move that a file system may do it by itself; nothing of links there.
# Guess:  as by cp -rL and rm -r: the destination has files, the source is gone, and what links lead to stays where it is.
# Seen:   to another file system files come; the data behind a link to a folder are removed, those behind a link to a file stay.
#         To a folder on the same one, data behind a link to a folder go too, but of a link to a file the link comes. To a new
#         folder there, links come as they are, and dangle, with --skip-links too. Each time: no word, status 0.
# Hurts:  who moves a folder with links to the data of others: by the destination, these lose them, or they do not come.
#
# Ends with 0 if that is still so. Needs apt-get with Debian 12's packages, and another file system at /dev/shm.
set -euo pipefail
place=$(mktemp -d)
apart=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$place" "$apart"' EXIT
chmod 755 "$place"
[ "$(stat -c %d "$place")" != "$(stat -c %d "$apart")" ]
mkdir "$place/package" "$place/work"
cd "$place/package"
apt-get -qq download rclone=1.60.1+dfsg-2+b5 2>/dev/null
dpkg -x rclone_*.deb .
export RCLONE_CONFIG=$place/none
cd "$place/work"

moved() {  # by rclone's arguments: what others have then, what is left of the request, what came and what kind it is
  rm -rf spool others
  mkdir -p spool/request/own spool/there others/raw
  tee spool/request/own/log others/raw/sdm others/flags <<<content >/dev/null
  ln -s ../../others/raw spool/request/raw
  ln -s ../../others/flags spool/request/flags
  "$place/package/usr/bin/rclone" move "$@" 2>words
  if grep -v 'Config file' words; then exit 1; fi
  found="$(find others -type f -printf '%P\n' | sort | tr '\n' ' ')| "
  found+="$(find spool -path '*/request/*' -type l -printf '%f ')| "
  found+=$(find "${*: -1}" -not -type d -printf '%P=%y%Y\n' | sort | tr '\n' ' ')
  echo "move $*: $found"
}

moved -L spool/request "$apart/new"
[ "$found" = "flags | raw | flags=ff own/log=ff raw/sdm=ff " ]
moved -L spool/request spool/there
[ "$found" = "flags | raw | flags=lf own/log=ff raw/sdm=ff " ]
for option in -L --skip-links; do
  moved "$option" spool/request "new$option"
  [ "$found" = "flags raw/sdm | | flags=lN own/log=ff raw=lN " ]
done
