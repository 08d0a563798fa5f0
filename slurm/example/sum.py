#!/usr/bin/env python3
"""Add three numbers: stands for your program."""

import argparse

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--avalue", "-a", type=int, required=True)
parser.add_argument("--bvalue", "-b", type=int, required=True)
parser.add_argument("--cvalue", "-c", type=int, required=True)
args = parser.parse_args()

print("sum is", args.avalue + args.bvalue + args.cvalue)
