#!/usr/bin/env bash
# Packs an installed Lithe with the libraries of PyTorch that it needs: a .tar.gz that runs wherever it is unpacked, and a
# .deb. Neither needs a compiler or Python. Neither holds a CUDA library.
#
#   tools/package.sh BUILD VENV OUT           writes OUT/lithe-*.tar.gz, OUT/lithe_*.deb and OUT/SHA256SUMS
#   tools/package.sh --tree BUILD VENV TREE   only lays out in TREE what the .tar.gz holds
#
# The same sources and tools give the same bytes: times are those of the last commit, or SOURCE_DATE_EPOCH.
set -euo pipefail
cd "$(dirname "$0")/.."
only_tree=0
if [ "${1:-}" = --tree ]; then only_tree=1; shift; fi
build=$1 out=$3
site_packages=$(echo "$2"/lib/python3*/site-packages)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}

# What a program gets from any Linux system: glibc, and the C++ library, of which a newer one always serves.
system_libraries='^(ld-linux-x86-64|lib(c|m|dl|rt|util|pthread|gcc_s|stdc\+\+))\.so\.'

die() { echo "package: $*" >&2; exit 1; }

install_lithe() {  # install_lithe TREE
  cmake --install "$build" --prefix "$1" --strip >"$work/install.log" || die "cmake could not install: $(tail -n 1 "$work/install.log")"
}

# PyTorch's libtorch_cpu.so names two CUDA libraries that only its profiler calls. In their place comes one small library
# with the same functions, each of which says that there is no device.
write_no_cuda() {  # write_no_cuda LIBTORCH_CPU OUTPUT
  nm -D --undefined-only "$1" | sed -nE 's/^ +U ([A-Za-z0-9_]+)@(libcu[a-z]+\.so\.[0-9]+)$/\1 \2/p' >"$work/symbols"
  awk '$1 == "cudaGetErrorString" {print "const char *" $1 "(void) { return \"no CUDA device is detected\"; }"; next}
       {print "int " $1 "(void) { return 100; /* cudaErrorNoDevice */ }"}' "$work/symbols" >"$work/no_cuda.c"
  awk '{names[$2] = names[$2] " " $1 ";"} END {for (version in names) print version " {" names[version] " };"}' \
    "$work/symbols" | sort >"$work/no_cuda.map"
  cc -shared -fPIC -O1 -s -nostdlib -Wl,--build-id=none -Wl,--version-script="$work/no_cuda.map" -Wl,-soname,liblithe-no-cuda.so \
    -o "$2" "$work/no_cuda.c"
}

# Copied without symbols that only a debugger reads, which are a fifth of PyTorch's library.
copy_library() {  # copy_library FILE FOLDER NAME
  strip --strip-unneeded -o "$2/$3" "$1"
  chmod 755 "$2/$3"
  # shellcheck disable=SC2016  # the loader puts in $ORIGIN
  patchelf --set-rpath '$ORIGIN' "$2/$3"
}

add_torch() {  # add_torch TREE
  local torch="$site_packages/torch/lib" private="$1/lib/lithe" cuda=() file name
  mkdir -p "$private"
  for file in libtorch_cpu.so libc10.so libgomp.so.1; do copy_library "$torch/$file" "$private" "$file"; done
  for name in $(patchelf --print-needed "$private/libtorch_cpu.so" | grep '^libcu'); do
    cuda+=(--replace-needed "$name" liblithe-no-cuda.so)
  done
  if [ "${#cuda[@]}" -gt 0 ]; then
    write_no_cuda "$torch/libtorch_cpu.so" "$private/liblithe-no-cuda.so"
    patchelf "${cuda[@]}" "$private/libtorch_cpu.so"
  fi
}

programs_of() { find "$1/bin" "$1"/lib* -type f \( -name lithe -o -name 'liblithe.so.*' \) | sort; }

set_run_paths() {  # set_run_paths TREE
  local file
  programs_of "$1" | while read -r file; do
    patchelf --set-rpath "\$ORIGIN/$(realpath --relative-to="$(dirname "$file")" "$1/lib/lithe")" "$file"
  done
}

# NAME FILE of every library that the programs load from outside the tree and the system's own.
foreign_libraries() {  # foreign_libraries TREE
  local lines
  lines=$(programs_of "$1" | xargs ldd)
  ! grep 'not found' <<<"$lines" >&2 || die "a library is not found"
  awk -v tree="$(realpath "$1")/" -v given="$system_libraries" \
    '$2 == "=>" && $1 !~ given && index($3, tree) != 1 {print $1, $3}' <<<"$lines" | sort -u
}

bundle_foreign() {  # bundle_foreign TREE
  local name file package
  foreign_libraries "$1" >"$work/foreign"
  while read -r name file; do
    copy_library "$(realpath "$file")" "$1/lib/lithe" "$name"
    package=$(package_of "$file")
    copy_notice "$package" "$1"
  done <"$work/foreign"
}

# The Debian package that a library is from; merged /usr has it under either name.
package_of() {
  { dpkg-query -S "$1" || dpkg-query -S "/usr$1" || dpkg-query -S "$(realpath "$1")"; } 2>/dev/null | head -n 1 | cut -d: -f1
}

copy_notice() {  # copy_notice PACKAGE TREE
  local notice="/usr/share/doc/$1/copyright"
  [ -z "$1" ] || ! [ -e "$notice" ] || cp -L "$notice" "$2/share/doc/lithe/licenses/$1.txt"
}

add_licenses() {  # add_licenses TREE
  local licenses="$1/share/doc/lithe/licenses" cargo
  mkdir -p "$licenses"
  cp -r "$(echo "$site_packages"/torch-*.dist-info/licenses)" "$licenses/pytorch"
  cp cmake/licenses/* "$licenses"
  # Headers and the wheel's libgomp, by the notices of the same works in Debian.
  for package in nlohmann-json3-dev libcli11-dev libboost1.81-dev libboost1.83-dev libgomp1; do copy_notice "$package" "$1"; done
  cargo=$(tools/find_cargo.sh | cut -d' ' -f1)
  tools/crate_licenses.py "$cargo" >"$licenses/rust-crates.txt"
}

settle() {  # settle TREE: modes and times that do not depend on who built it, or when
  chmod -R u=rwX,go=rX "$1"
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

write_tar() {  # write_tar TREE
  local name
  name="lithe-$version-linux-x86_64"
  tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --transform "flags=r;s,^\.,$name," -C "$1" -c . |
    gzip -6n >"$out/$name.tar.gz"
}

depends_of() {  # depends_of ROOT: what the programs need of Debian's packages
  mkdir -p "$work/debian"
  printf 'Source: lithe\n\nPackage: lithe\nArchitecture: amd64\n' >"$work/debian/control"
  # shellcheck disable=SC2046
  (cd "$work" && dpkg-shlibdeps -O -xlibgomp1 --ignore-missing-info -l"$1/usr/lib/lithe" $(programs_of "$1/usr") "$1"/usr/lib/lithe/*.so* \
    2>shlibdeps.log | sed -n 's/^shlibs:Depends=//p')
}

write_deb() {  # write_deb ROOT: a folder that holds usr/
  local depends
  depends=$(depends_of "$1")
  [ -n "$depends" ] || die "dpkg-shlibdeps found nothing: $(tail -n 1 "$work/shlibdeps.log")"
  gzip -9nf "$1"/usr/share/man/man1/*.1
  { echo "Lithe is under the Apache License 2.0, in LICENSE beside this file. Notices of what it holds are in NOTICE and licenses/."; echo
    cat NOTICE; } >"$1/usr/share/doc/lithe/copyright"
  mkdir "$1/DEBIAN"
  cat >"$1/DEBIAN/control" <<END
Package: lithe
Version: $version
Architecture: amd64
Maintainer: The Lithe authors <authors@lithe.invalid>
Section: science
Priority: optional
Installed-Size: $(du -sk --apparent-size "$1/usr" | cut -f1)
Depends: $depends, libcurl4
Description: run vision-language models and skip computation they do not need
 A program and a library that answer questions about pictures with models of
 the LLaVA kind, on the processor. Skip plans say which tokens each layer runs.
 PyTorch's libraries for the processor are in the package.
END
  echo 'activate-noawait ldconfig' >"$1/DEBIAN/triggers"
  settle "$1"
  dpkg-deb --root-owner-group -Zzstd -z9 --build "$1" "$out/lithe_${version}_amd64.deb" >/dev/null
}

for tool in patchelf strip nm cc; do command -v "$tool" >/dev/null || die "$tool is not installed; \`make package\` says what to install."; done
umask 022
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(realpath "$out").XXXXXX")  # on that disk, not in a /tmp that may be memory
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[A-Z]*=//p' "$build/CMakeCache.txt")
tree="$work/tree"
if [ "$only_tree" = 1 ]; then tree=$out; fi
rm -rf "$out"
mkdir -p "$out"
install_lithe "$tree"
add_torch "$tree"
set_run_paths "$tree"
add_licenses "$tree"
if [ "$only_tree" = 0 ] && command -v dpkg-shlibdeps >/dev/null; then
  mkdir "$work/deb"
  cp -al "$tree" "$work/deb/usr"
  write_deb "$work/deb"
fi
bundle_foreign "$tree"
settle "$tree"
[ "$only_tree" = 0 ] || exit 0
write_tar "$tree"
du -sh --apparent-size "$tree" | awk '{print "unpacked", $1}'
cd "$out"
sha256sum -- lithe* >SHA256SUMS
du -h --apparent-size -- lithe* | awk '{print $2, $1}'
