#!/usr/bin/env bash
# Distill a dataset on several GPUs (or CPU processes) of one or more machines.
set -euo pipefail

if [ $# -lt 2 ]; then
  cat >&2 <<'USAGE'
usage: tools/dist_distill.sh CONFIG GPUS [arguments of tools/distill.py]
  environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON (python)
USAGE
  exit 2
fi

CONFIG=$1
GPUS=$2
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${PORT:-29500}" \
  --nproc_per_node="$GPUS" \
  "$(dirname "$0")/distill.py" "$CONFIG" --launcher pytorch "${@:3}"
