#!/usr/bin/env bash
# Runs a script of this folder on the page of a real server, in a real browser. Exits with 77 and a sentence if something
# that it needs is not installed.
#
#   tests/serve/browser/run.sh LITHE [SCRIPT ARGUMENT...]   default: page_test.mjs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lithe=$1
shift
script=${1:-page_test.mjs}
[ $# -eq 0 ] || shift

skip() { echo "skipped: $*" >&2; exit 77; }

command -v node >/dev/null || skip "node is not installed (apt-get install nodejs)."
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] || skip "node is older than 18."
if [ -z "${CHROMIUM:-}" ]; then
  CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
fi
[ -n "$CHROMIUM" ] || skip "Chromium is not installed (apt-get install chromium, or name one by CHROMIUM)."
for package in playwright-core axe-core; do
  [ -d "$here/node_modules/$package" ] || skip "$package is not installed (npm install --prefix tests/serve/browser)."
done
export CHROMIUM LITHE=$lithe
exec node "$here/$script" "$@"
