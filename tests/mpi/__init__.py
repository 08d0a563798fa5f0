"""Tests that start real farms: `mpiexec -n 3 python -m mpifarm tasks.txt`."""
