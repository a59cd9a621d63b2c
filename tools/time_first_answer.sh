#!/usr/bin/env bash
# Times `make demo` from a clean clone of HEAD in an empty Debian 12: downloads, compiling, first answer. Needs root and network.
#
#   tools/time_first_answer.sh --debootstrap    makes the empty system first (needs debootstrap)
#   tools/time_first_answer.sh ROOTFS           takes the one in the folder ROOTFS, and leaves it as it is
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/empty_system.sh
. tools/empty_system.sh

load() { cut -d' ' -f1 /proc/loadavg; }
since_start() { echo "$(($(date +%s) - started))"; }

[ $# -eq 1 ] || die "say which system: --debootstrap, or the folder of an empty Debian 12."
take_system "$1"
fresh_root
give_network
in_root apt-get -qq update
in_root apt-get -qq install -y --no-install-recommends git make ca-certificates >"$work/apt.txt" 2>&1 || die "apt: $(tail -n 3 "$work/apt.txt")"
git clone -q --no-hardlinks . "$root/root/lithe"

say "$(nproc) cores, load $(load)"
started=$(date +%s)
set_up='' answered=''
while IFS= read -r line; do
  case $line in
    '[1/'*) [ -n "$set_up" ] || { set_up=$(since_start); say "set up after $set_up s (load $(load)); ${line%%]*}]"; } ;;
    '| is there a blue shape?'*) answered=$(since_start); say "first answers after $answered s (load $(load))" ;;
  esac
  echo "$line" >>"$work/demo.txt"
done < <(in_root bash -c 'cd /root/lithe && { time -p make demo; } 2>&1; echo "ended with $?"')
tail -n 1 "$work/demo.txt" | grep -qx 'ended with 0' || die "make demo failed: $(tail -n 5 "$work/demo.txt")"
say "all after $(since_start) s (load $(load)); of the processor: $(sed -n 's/^\(user\|sys\) \([0-9]*\).*/\1 \2 s/p' "$work/demo.txt" | paste -sd' ')"
