#!/usr/bin/env bash
# Makes a Debian 12 or Ubuntu 24.04 machine ready to build Lithe: system packages, Rust, and the PyTorch wheel whose C++
# libraries Lithe runs on. A second run finds everything in place and ends at once.
#
#   tools/setup.sh [VENV]          GPU=1: also what torch needs to run on a GPU; SUDO=1: install packages by sudo;
#                                  TESTS=0: without what only tests need; PACKAGE=1: also what `make package` needs
#   tools/setup.sh --bench VENV    an environment of its own with a PyTorch that Python can import, transformers and peft
#   tools/setup.sh --clients VENV  an environment of its own with OpenAI's Python package
#   tools/setup.sh --lmms VENV     an environment of its own with lmms-eval
#
# Where packages come from is the environment's business: apt's, pip's and cargo's own settings apply.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=cpu
if [ "${1:-}" = --bench ]; then mode=bench; shift; fi
if [ "${1:-}" = --clients ]; then mode=clients; shift; fi
if [ "${1:-}" = --lmms ]; then mode=lmms; shift; fi
venv=${1:-.venv}
gpu=${GPU:-0}
python=${PYTHON:-python3}
# Measured: the wheels are 555 MB, 1.3 GB unpacked; while installing, a wheel lies beside its unpacked files and, with
# most indexes, in the cache of pip. The rest of a GPU set-up is 2.5 GB of wheels, most of it cuDNN, cuBLAS and NCCL.
download="about 560 MB"; kept="1.3 GB"; needed_mb=3000
gpu_download="about 2.5 GB"; gpu_kept="5 GB"; gpu_needed_mb=9000
bench_download="about 2.9 GB"; bench_kept="4.7 GB"; bench_needed_mb=9000
lmms_download="about 2.7 GB"; lmms_kept="5.1 GB"; lmms_needed_mb=9000

rust_unknown="<newest-cargo>"

say() { printf '%s\n' "$*"; }
die() { say "setup: $*" >&2; exit 1; }

packages=(g++ cmake ninja-build pkg-config python3 python3-venv ca-certificates libfmt-dev nlohmann-json3-dev libcli11-dev
  libjpeg-dev libpng-dev libwebp-dev libgif-dev zlib1g-dev libsentencepiece-dev libedit-dev libyaml-cpp-dev libcurl4-openssl-dev libssl-dev)
# The server needs Boost 1.81 or newer. Debian 12 has 1.81 beside an older one, Ubuntu 24.04 has 1.83.
if grep -qs '^ID=ubuntu' "${OS_RELEASE:-/etc/os-release}"; then packages+=(libboost1.83-dev); else packages+=(libboost1.81-dev); fi
if [ "${TESTS:-1}" = 1 ]; then packages+=(libgtest-dev patchelf); fi
if [ "${PACKAGE:-0}" = 1 ]; then packages+=(patchelf dpkg-dev); fi

missing_packages() {
  local status
  for name in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)
    [ "$status" = installed ] || say "$name"
  done
  # An existing Rust that is new enough will do, wherever it came from.
  tools/find_cargo.sh >/dev/null || rust_packages
}

# Debian 12 has a newer Rust for web browsers as cargo-web; Ubuntu has versioned packages, of which the newest is taken.
# Which one that is the package lists say; a new machine may have none yet.
rust_packages() {
  local newest
  newest=$(apt-cache search --names-only '^cargo-1\.[0-9]+$' | sort -V | tail -n 1 | cut -d' ' -f1)
  if [ -n "$newest" ]; then
    say "$newest"
    say "rustc-${newest#cargo-}"
  elif grep -qs '^ID=ubuntu' "${OS_RELEASE:-/etc/os-release}"; then
    say "$rust_unknown"
  else
    say cargo-web
  fi
}

# Debian 12 has a new Rust among its security updates, which a minimal system may not read, and an older one beside them.
security="deb http://deb.debian.org/debian-security bookworm-security main"
rust_is_old() {
  local oldest minor
  oldest=$(sed -nE 's/^oldest=([0-9]+).*/\1/p' tools/find_cargo.sh)
  minor=$(apt-cache policy cargo-web | sed -nE 's/^ *Candidate: 1\.([0-9]+)\..*/\1/p')
  [ -n "$minor" ] && [ "$minor" -lt "$oldest" ]
}

# For this installation only: what apt reads otherwise stays as it is.
read_security_updates() {  # read_security_updates AS_ROOT...
  say "Reading Debian's security updates too, for a Rust that is new enough."
  sources=$(mktemp -d)
  cp -r /etc/apt/sources.list.d/. "$sources"
  echo "$security" >"$sources/security.list"
  apt_options=(-o "Dir::Etc::SourceParts=$sources")
  "$@" apt-get "${apt_options[@]}" update
}

install_packages() {
  local missing as_root=() sources="" apt_options=()
  if ! command -v dpkg-query >/dev/null; then
    say "This is neither Debian nor Ubuntu, so packages are not checked; docs/building.md lists what is needed."
    return
  fi
  missing=$(missing_packages | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  if [ "$(id -u)" != 0 ] && [ "${SUDO:-0}" != 1 ]; then
    ask_for_packages "$missing"
    exit 1
  fi
  "${as_root[@]}" apt-get update
  missing=$(missing_packages | tr '\n' ' ')  # again: now the lists know the newest Rust
  if [[ " $missing" == *" cargo-web "* ]] && rust_is_old; then read_security_updates "${as_root[@]}"; fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" install -y --no-install-recommends $missing
  rm -rf "$sources"
  missing=$(missing_packages | tr '\n' ' ')
  [ -z "$missing" ] || die "apt-get ended, but these are still missing: $missing"
}

ask_for_packages() {
  if [[ $1 == *"$rust_unknown"* ]]; then
    say "This machine has no package lists yet. Run this line, then make again to see what to install:"
    say "  sudo apt-get update"
  else
    say "Packages are missing. Install them with this line, then run make again (or let SUDO=1 make setup do it):"
    if [[ " $1" == *" cargo-web "* ]] && rust_is_old; then
      say "  echo '$security' | sudo tee /etc/apt/sources.list.d/security.list"
    fi
    say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${1% }"
  fi
}

# pip writes INSTALLER last, so that an install that was broken off does not count.
has_wheel() {  # has_wheel NAME VERSION
  compgen -G "$venv/lib/python3*/site-packages/$1-$2.dist-info/INSTALLER" >/dev/null
}

has_all_wheels() {  # has_all_wheels REQUIREMENTS
  local name version
  while IFS='=' read -r name version; do
    has_wheel "${name//-/_}" "$version" || return 1
  done < <(sed -nE 's/^([a-z0-9-]+)==([0-9a-z.]+).*/\1=\2/p' "$1")
}

check_disk() {  # check_disk NEEDED_MB
  local folder free_mb
  folder=$(dirname "$venv")
  mkdir -p "$folder"
  free_mb=$(df -Pm "$folder" | awk 'NR == 2 {print $4}')
  [ "$free_mb" -ge "$1" ] || die "$folder has $free_mb MB free, but $1 MB are needed; free some or set VENV to another disk."
}

check_python() {
  [ "$(uname -m)" = x86_64 ] || die "only x86_64 is set up (this is $(uname -m)); requirements/torch.txt has no other wheel."
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' ||
    die "$("$python" --version) has no wheel in requirements/torch.txt; set PYTHON to a CPython from 3.11 to 3.14."
}

# pip takes up a dropped connection where it broke (--resume-retries, since pip 25.1, hence the pinned pip) and shows a
# progress bar. A run that is stopped starts the wheel that it was fetching anew: pip has no way to keep half a file.
pip_install() {
  mkdir -p "$venv/tmp"  # on the disk that was checked, not in a /tmp that may be memory
  TMPDIR="$(cd "$venv" && pwd)/tmp" "$venv/bin/python" -m pip install --disable-pip-version-check --retries 10 "$@" ||
    die "pip could not install what it needs; run make setup again."
  rm -rf "$venv/tmp"
}

make_venv() {
  check_python
  if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv "$venv" || die "could not make a Python environment in $venv."
  fi
  has_all_wheels requirements/pip.txt || pip_install --quiet --require-hashes -r requirements/pip.txt
}

install_torch() {
  has_all_wheels requirements/torch.txt && return
  check_disk "$needed_mb"
  say "Downloading PyTorch's wheel, for its C++ libraries ($download; $kept in $venv, $needed_mb MB while installing)."
  make_venv
  pip_install --resume-retries 20 --no-deps --require-hashes -r requirements/torch.txt
}

install_gpu() {
  [ "$gpu" = 1 ] && ! [ -e "$venv/.lithe-gpu" ] || return 0
  check_disk "$gpu_needed_mb"
  say "Downloading what PyTorch needs to run on a GPU ($gpu_download; $gpu_kept in $venv)."
  make_venv
  pip_install --resume-retries 20 -r requirements/gpu.txt
  touch "$venv/.lithe-gpu"
}

install_bench() {
  has_all_wheels requirements/bench.txt && return
  check_disk "$bench_needed_mb"
  say "Downloading PyTorch with its GPU libraries, transformers and peft ($bench_download; $bench_kept in $venv)."
  make_venv
  pip_install --resume-retries 20 --no-deps -r requirements/bench.txt
}

install_clients() {
  has_all_wheels requirements/clients.txt && return
  make_venv
  pip_install --quiet --no-deps -r requirements/clients.txt
}

install_lmms() {
  has_all_wheels requirements/lmms-eval.txt && return
  check_disk "$lmms_needed_mb"
  say "Downloading lmms-eval, and PyTorch with its GPU libraries ($lmms_download; $lmms_kept in $venv)."
  make_venv
  pip_install --resume-retries 20 --no-deps -r requirements/lmms-eval.txt
}

install_packages
if [ "$mode" = bench ]; then
  install_bench
elif [ "$mode" = clients ]; then
  install_clients
elif [ "$mode" = lmms ]; then
  install_lmms
else
  install_torch
  install_gpu
fi
