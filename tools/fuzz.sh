#!/usr/bin/env bash
# Runs every fuzzer of build/fuzz for SECONDS_EACH, from its corpus in tests/fuzz/corpus. What crashes is left in
# build/fuzz/found: put it into the corpus with the fix.
#
#   tools/fuzz.sh SECONDS_EACH [NAME...]    e.g. tools/fuzz.sh 60 plan_json
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
found=build/fuzz/found
mkdir -p "$found"
failed=0
for program in build/fuzz/bin/fuzz_*; do
  name=${program##*/fuzz_}
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus"
  seeds=()
  for folder in "$name" "${name%%_*}" "${name#*_}"; do
    [ -d "tests/fuzz/corpus/$folder" ] && seeds+=("tests/fuzz/corpus/$folder")
  done
  if "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -artifact_prefix="$found/$name-" \
    -print_final_stats=0 "$corpus" "${seeds[@]}" >"$found/$name.log" 2>&1; then
    echo "ok   $name ($(ls "$corpus" | wc -l) inputs)"
  else
    echo "FAIL $name, see $found/$name.log"
    failed=1
  fi
done
exit $failed
