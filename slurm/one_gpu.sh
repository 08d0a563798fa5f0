#!/bin/bash
# Run a command with one of the node's GPUs, that of its slot: in the task list, one_gpu.sh ./train.py 1 2 3
IFS=, read -r -a gpus <<< "${CUDA_VISIBLE_DEVICES:?no GPU here: ask for --gpus-per-node}"
export CUDA_VISIBLE_DEVICES=${gpus[(MPIFARM_SLOT - 1) % ${#gpus[@]}]}
exec "$@"
