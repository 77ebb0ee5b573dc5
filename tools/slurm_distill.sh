#!/usr/bin/env bash
# Distill a dataset on a Slurm cluster.
set -euo pipefail

if [ $# -lt 3 ]; then
  cat >&2 <<'USAGE'
usage: tools/slurm_distill.sh PARTITION JOB_NAME CONFIG [arguments of tools/distill.py]
  environment: GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS (''), PYTHON (python)
USAGE
  exit 2
fi

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
if [ "$GPUS_PER_NODE" -gt "$GPUS" ]; then
  GPUS_PER_NODE=$GPUS
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# SRUN_ARGS is split into words on purpose
# shellcheck disable=SC2086
exec srun -p "$PARTITION" \
  --job-name="$JOB_NAME" \
  --gres="gpu:$GPUS_PER_NODE" \
  --ntasks="$GPUS" \
  --ntasks-per-node="$GPUS_PER_NODE" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" \
  --kill-on-bad-exit=1 \
  ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/distill.py" "$CONFIG" --launcher slurm "${@:4}"
