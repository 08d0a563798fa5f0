"""The least that a Python program with numpy and MPI does: it starts, meets the other ranks, and ends."""

import numpy as np
from mpi4py import MPI

assert MPI.COMM_WORLD.allreduce(np.int64(1)) == MPI.COMM_WORLD.Get_size()
