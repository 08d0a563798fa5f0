#!/usr/bin/env bash
# Write the task list: one command a line, for every combination of three numbers.
cd "$(dirname "$0")" || exit
for a in 0 1 2; do
    for b in 0 1 2; do
        for c in 0 1 2; do
            echo "./wrapper.sh $a $b $c"
        done
    done
done > tasks.txt
