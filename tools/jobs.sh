#!/bin/sh
# Prints how many compilers may run at once: one a core, but no more than memory holds at 2 GB each (files that see ATen).
cores=$(nproc)
by_memory=$(awk '/^MemAvailable:/ {print int($2 / 2000000)}' /proc/meminfo)
jobs=$((by_memory < cores ? by_memory : cores))
echo $((jobs > 0 ? jobs : 1))
