# shellcheck shell=bash disable=SC2034
# Sourced by scripts that try something in an empty Debian 12; they set `clean` to its folder by take_system.
# Needs root. `work` is a folder for everything, removed at the end; `root` the copy of the system that is in use.

say() { printf '%s\n' "$*"; }
die() { say "${0##*/}: $*" >&2; exit 1; }

take_system() {  # take_system --debootstrap | take_system ROOTFS
  [ "$(id -u)" = 0 ] || die "needs root, for chroot."
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  clean=$1
  [ "$1" = --debootstrap ] || return 0
  clean="$work/clean"
  debootstrap --variant=minbase bookworm "$clean" >"$work/debootstrap.txt" || die "debootstrap: $(tail -n 1 "$work/debootstrap.txt")"
}

# One command in the system, with mounts of its own. Of the environment it sees what says where packages come from.
in_root() {  # in_root COMMAND...
  local settings=()
  mapfile -t settings < <(env | grep -E '^(PIP_|CARGO_HTTP_|(https?|no|all)_proxy=)' || true)
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private sh -ec 'root=$1; shift
    mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
    exec chroot "$root" /usr/bin/env -i "$@"' sh "$root" PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    "${settings[@]}" "$@"
}

fresh_root() {
  local tool
  root="$work/root"
  rm -rf "$root"
  cp -a "$clean" "$root"
  for tool in cc gcc g++ clang python3; do
    ! in_root sh -c "command -v $tool" >/dev/null || die "the system is not empty: it has $tool."
  done
}

# The network's settings of this machine: names, apt's, pip's, and certificates that were added.
give_network() {
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  apt-config dump Acquire >"$root/etc/apt/apt.conf.d/99host"
  [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
  mkdir -p "$root/usr/local/share/ca-certificates"
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates" \;
}
