#!/usr/bin/env bash
# Lays out what the .tar.gz holds, moves it, and asks: does it run with nothing but itself and the system's own libraries?
# Can programs be built against it there?
#
#   tree_test.sh SOURCE BUILD VENV SCRATCH
set -euo pipefail
source=$1 build=$2 venv=$3 scratch=$4
question="what is the color of the rectangle?"

fail() { echo "$*" >&2; exit 1; }
expect_answer() { [ "$1" = "Blue." ] || fail "the answer is '$1', not 'Blue.'"; }

rm -rf "$scratch"
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"
"$source/tools/package.sh" --tree "$build" "$venv" "$scratch/made"
tree="$scratch/moved"
mv "$scratch/made" "$tree"
picture="$tree/share/lithe/models/images/901.png"

# Each object finds its libraries by its own place, and none asks for CUDA.
objects=("$tree/bin/lithe" "$tree"/lib*/liblithe.so.*.* "$tree"/lib/lithe/*)
for object in "${objects[@]}"; do
  dynamic=$(readelf -d "$object")
  ! grep -E '(RPATH|RUNPATH)' <<<"$dynamic" | grep -vE '\[\$ORIGIN(/[^:]*)?\]$' || fail "$object has a run path that leads elsewhere"
  ! grep -E 'NEEDED.*\[lib(cu|nv)' <<<"$dynamic" || fail "$object needs a CUDA library"
done
loaded=$(env -i ldd "${objects[@]}")
! grep 'not found' <<<"$loaded" || fail "a library is not found"
! grep '=>' <<<"$loaded" | grep -vF "=> $tree/" | grep -vE '^\s(lib(c|m|dl|rt|util|pthread|gcc_s|stdc\+\+)|ld-linux-x86-64)\.so\.' ||
  fail "a library is neither in the package nor in every system"

# With an empty environment, from another folder, and with every symbol bound when it starts.
cd /
expect_answer "$(env -i "$tree/bin/lithe" run demo --image "$picture" "$question")"
expect_answer "$(env -i LD_BIND_NOW=1 "$tree/bin/lithe" run demo-dense --image "$picture" "$question")"
ln -s "$tree/bin/lithe" "$scratch/link"
expect_answer "$(env -i "$scratch/link" run demo --image "$picture" "$question")"

# Programs in C and C++, by pkg-config and by CMake.
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$tree" -name lithe.pc)")
# shellcheck disable=SC2046  # flags are words
cc "$source/examples/embed/main.c" -o "$scratch/ask" $(pkg-config --cflags --libs lithe) -Wl,-rpath,"$(pkg-config --variable=libdir lithe)"
expect_answer "$("$scratch/ask" "$(pkg-config --variable=models lithe)/easyvqa-pmod" "$picture" "$question")"
cmake -S "$source/examples/embed" -B "$scratch/build" -DCMAKE_PREFIX_PATH="$tree" >/dev/null
cmake --build "$scratch/build" >/dev/null
expect_answer "$("$scratch/build/ask" "$tree/share/lithe/models/easyvqa-dense" "$picture" "$question")"

# A manual page for every command, and the notices of what is packed.
commands=$("$tree/bin/lithe" --help | sed -n '/^Subcommands:/,$ s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 9 ] || fail "lithe --help lists too few commands: $commands"
for page in lithe $(printf 'lithe-%s ' $commands); do
  file="$tree/share/man/man1/$page.1"
  grep -q '^\.SH "\?OPTIONS' "$file" || fail "$file lists no options"
  ! command -v mandoc >/dev/null || mandoc -T lint -W warning "$file"
done
for notice in LICENSE NOTICE licenses/pytorch/LICENSE licenses/oneMKL.txt licenses/rust-crates.txt; do
  [ -s "$tree/share/doc/lithe/$notice" ] || fail "$notice is not packed"
done
