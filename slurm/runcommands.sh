#!/bin/bash
# Put this before TaskFarmer's on PATH, and its batch scripts run mpifarm as they stand.
#   runcommands.sh [options of mpifarm] tasks.txt
python=${MPIFARM_PYTHON:-python} # the interpreter that mpifarm is installed in, best by its path: /path/to/env/bin/python
if ! "$python" -I -c "import mpifarm" > /dev/null 2>&1; then
    echo "runcommands.sh: $python -I has no mpifarm: set MPIFARM_PYTHON, or python= in this script, to the python of the environment" \
        "that it is installed in, such as /path/to/env/bin/python (~/.local is none)" >&2
    exit 2
fi

if [ -z "$SLURM_JOB_ID" ]; then
    exec "$python" -I -m mpifarm "$@"
fi
# What the options are for: see cpu.sbatch.
overlap=$(srun --help | grep -ow -m1 -e --overlap) # before Slurm 20.11 there is no such option, and no need for it
exec srun $overlap --cpu-bind=none --no-kill -K0 -W0 ${SLURM_CPUS_PER_TASK:+-c "$SLURM_CPUS_PER_TASK"} --ntasks-per-node=1 \
    "$python" -I -m mpifarm --manager-works "$@"
