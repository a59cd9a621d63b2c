#!/bin/sh
# Says what `make demo` is about to do and how long that takes, leaving out what is done already.
#
#   tools/demo_times.sh VENV JOBS
core_minutes=12 # measured: what one core takes to compile the program
[ -x build/release/bin/lithe ] && exit 0
echo "make demo compiles Lithe and answers questions about a picture. It takes:"
ls -d "$1"/lib/python3*/site-packages/torch/lib >/dev/null 2>&1 ||
  echo "  set-up     1 to 10 min, by your network: 560 MB of PyTorch's libraries, and missing system packages"
echo "  compiling  about $(((core_minutes + $2 - 1) / $2)) min with $2 compilers at a time"
echo "  answers    2 s; then the same at 7B width, about a minute, which Ctrl-C ends"
