#!/usr/bin/env bash
# One task: everything it needs, from modules to options.
cd "$(dirname "$0")" || exit
exec python3 sum.py -a "$1" -b "$2" -c "$3"
