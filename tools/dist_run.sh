#!/usr/bin/env bash
# Run a tool in several processes; called by dist_distill.sh and dist_train.sh.
set -euo pipefail

TOOL=$1
if [ $# -lt 3 ]; then
  cat >&2 <<USAGE
usage: tools/dist_$TOOL.sh CONFIG GPUS [arguments of tools/$TOOL.py]
  environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1),
               PORT (a free one, 29500 on several machines), PYTHON (python)
USAGE
  exit 2
fi

CONFIG=$2
GPUS=$3
NNODES=${NNODES:-1}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

if [ "$NNODES" -eq 1 ] && [ -z "${PORT:-}" ]; then
  MEETING=(--standalone)
else
  MEETING=(--nnodes="$NNODES" --node_rank="${NODE_RANK:-0}"
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi

exec "${PYTHON:-python}" -m torch.distributed.run "${MEETING[@]}" --nproc_per_node="$GPUS" \
  "$(dirname "$0")/$TOOL.py" "$CONFIG" --launcher pytorch "${@:4}"
