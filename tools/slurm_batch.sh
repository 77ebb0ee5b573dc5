#!/usr/bin/env bash
# Batch job for Slurm: distills or trains, and resumes whenever it is started again. The tasks of an
# array job are shards of one distillation.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail

if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  cat >&2 <<'USAGE'
usage, in the repository: sbatch RESOURCES tools/slurm_batch.sh distill|train CONFIG [arguments]
  RESOURCES: such as -p PARTITION -N 2 --ntasks-per-node=8 --gres=gpu:8 -c 5 --time=24:00:00
  an array job, --array=0-63: each task distills its part of the images, the last one writes the set
  environment: PYTHON (python), SHARDS (all tasks of the array; set it to submit some again)
USAGE
  exit 2
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# srun does not ask for the cores of its job by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

SHARD=()
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  if [ "$1" != distill ]; then
    echo "error: tasks of an array job share a distillation alone; leave --array out" >&2
    exit 2
  fi
  SHARD=(--shard "$SLURM_ARRAY_TASK_ID/${SHARDS:-$SLURM_ARRAY_TASK_COUNT}")
fi

# Two minutes before its time is up the job goes back into the queue.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
# The script lies in a folder of Slurm's by now; the working directory is that of sbatch.
srun --kill-on-bad-exit=1 "${PYTHON:-python}" -u "tools/$1.py" "$2" --launcher slurm --resume \
  ${SHARD[@]+"${SHARD[@]}"} "${@:3}" &
wait $!
