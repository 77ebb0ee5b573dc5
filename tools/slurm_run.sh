#!/usr/bin/env bash
# Run a tool on a Slurm cluster; called by slurm_distill.sh and slurm_train.sh.
set -euo pipefail

TOOL=$1
if [ $# -lt 4 ]; then
  cat >&2 <<USAGE
usage: tools/slurm_$TOOL.sh PARTITION JOB_NAME CONFIG [arguments of tools/$TOOL.py]
  environment: GPUS (8), GPUS_PER_NODE (8), TASKS (one per GPU), CPUS_PER_TASK (5),
               SRUN_ARGS (''), PYTHON (python); GPUS=0 TASKS=4 runs on CPUs
USAGE
  exit 2
fi

PARTITION=$2
JOB_NAME=$3
CONFIG=$4
GPUS=${GPUS:-8}
TASKS=${TASKS:-$GPUS}
if [ "$TASKS" -lt 1 ]; then
  echo "error: GPUS=0 needs TASKS, the number of processes" >&2
  exit 2
fi
RESOURCES=(--ntasks="$TASKS" --cpus-per-task="${CPUS_PER_TASK:-5}")
if [ "$GPUS" -gt 0 ]; then
  PER_NODE=${GPUS_PER_NODE:-8}
  if [ "$PER_NODE" -gt "$GPUS" ]; then
    PER_NODE=$GPUS
  fi
  RESOURCES+=(--gres="gpu:$PER_NODE" --ntasks-per-node="$PER_NODE")
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# SRUN_ARGS is split into words on purpose
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" "${RESOURCES[@]}" --kill-on-bad-exit=1 \
  ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/$TOOL.py" "$CONFIG" --launcher slurm "${@:5}"
