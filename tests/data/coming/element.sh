#!/bin/sh
echo "element $SLURM_ARRAY_TASK_ID"
