#!/usr/bin/env bash
# Tries the packages in an empty Debian 12, without a compiler and without Python: the .tar.gz unpacked and then moved, the
# .deb installed and removed by apt. Needs root, and for the .deb a network that apt can use.
#
#   tools/try_package.sh --debootstrap [PACKAGES]    makes the empty system first (needs debootstrap)
#   tools/try_package.sh ROOTFS [PACKAGES]           takes the one in the folder ROOTFS, and leaves it as it is
#
# PACKAGES is the folder that `make package` wrote (default: build/package).
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$(realpath "${2:-build/package}")
question="what is the color of the rectangle?"

# shellcheck source=tools/empty_system.sh
. tools/empty_system.sh

expect_runs() {  # expect_runs PROGRAM PREFIX
  local answer
  answer=$(in_root "$1" run demo --image "$2/share/lithe/models/images/901.png" "$question")
  [ "$answer" = "Blue." ] || die "$1 answered '$answer', not 'Blue.'"
  in_root "$1" demo --no-wide --heat-map /tmp/kept.png >"$work/demo.txt"
  grep -q 'what is the color of the rectangle' "$work/demo.txt" || die "the demo showed no answers: $(cat "$work/demo.txt")"
  [ -s "$root/tmp/kept.png" ] || die "the demo wrote no heat map."
}

try_tar() {
  fresh_root
  mkdir "$root/opt/unpacked"
  tar -xf "$packages"/lithe-*.tar.gz -C "$root/opt/unpacked" --strip-components=1
  expect_runs /opt/unpacked/bin/lithe /opt/unpacked
  say "tar.gz: runs where it was unpacked"
  mv "$root/opt/unpacked" "$root/srv/another place"
  expect_runs "/srv/another place/bin/lithe" "/srv/another place"
  ln -s "/srv/another place/bin/lithe" "$root/usr/local/bin/lithe"
  expect_runs lithe "/srv/another place"
  say "tar.gz: runs after a move, and by a link"
}

try_deb() {
  fresh_root
  cp "$packages"/lithe_*.deb "$root/tmp/lithe.deb"
  give_network
  in_root apt-get -qq update
  in_root apt-get -qq install -y --no-install-recommends /tmp/lithe.deb >"$work/apt.txt" 2>&1 || die "apt: $(tail -n 3 "$work/apt.txt")"
  expect_runs lithe /usr
  in_root ldconfig -p >"$work/libraries.txt"
  grep -q 'liblithe\.so' "$work/libraries.txt" || die "the loader does not know liblithe.so."
  say "deb: installs and runs"
  in_root apt-get -qq purge -y lithe >"$work/apt.txt" 2>&1 || die "apt: $(tail -n 3 "$work/apt.txt")"
  [ -z "$(find "$root/usr" -path '*lithe*' -print -quit)" ] || die "the .deb left files behind."
  say "deb: removes what it installed"
}

[ $# -ge 1 ] || die "say which system: --debootstrap, or the folder of an empty Debian 12."
take_system "$1"
try_tar
try_deb
