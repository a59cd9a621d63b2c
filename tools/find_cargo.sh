#!/bin/sh
# Prints "CARGO RUSTC" of the first Rust that is new enough, or fails. Asked in turn: $CARGO, cargo on PATH (rustup, Debian's
# cargo-web), Ubuntu's versioned packages (newest first), whose cargo must be told its rustc.
set -eu
oldest=87  # 1.87

minor_of() { "$1" --version 2>/dev/null | sed -n 's/^[a-z]* 1\.\([0-9]*\)\..*/\1/p'; }

try() {  # try CARGO RUSTC
  cargo=$(command -v "$1") && rustc=$(command -v "$2") || return 1
  minor=$(minor_of "$cargo")
  [ "${minor:-0}" -ge "$oldest" ] || return 1
  minor=$(minor_of "$rustc")
  [ "${minor:-0}" -ge "$oldest" ] || return 1
  echo "$cargo $rustc"
}

if [ -n "${CARGO:-}" ]; then
  try "$CARGO" "${RUSTC:-rustc}"
  exit
fi
try cargo rustc && exit
for versioned in $(IFS=:; for folder in $PATH; do ls -d "$folder"/cargo-1.* 2>/dev/null || true; done | sort -rV); do
  try "$versioned" "rustc-${versioned##*/cargo-}" && exit
done
exit 1
