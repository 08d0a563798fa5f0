#!/bin/bash
# Put this before TaskFarmer's on PATH, and its batch scripts run mpifarm as they stand.
#   runcommands.sh [options of mpifarm] tasks.txt
if [ -z "$SLURM_JOB_ID" ]; then
    exec python -m mpifarm "$@"
fi
exec srun --no-kill -K0 -W0 --ntasks-per-node=1 -c "${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}" python -m mpifarm "$@"
