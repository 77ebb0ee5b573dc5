#!/usr/bin/env bash
# Batch job for Slurm: distills or trains, and resumes whenever it is started again.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail

if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
  cat >&2 <<'USAGE'
usage, in the repository: sbatch RESOURCES tools/slurm_batch.sh distill|train CONFIG [arguments]
  RESOURCES: such as -p PARTITION -N 2 --ntasks-per-node=8 --gres=gpu:8 -c 5 --time=24:00:00
  environment: PYTHON (python)
USAGE
  exit 2
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# srun does not ask for the cores of its job by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# Two minutes before its time is up the job goes back into the queue.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
# The script lies in a folder of Slurm's by now; the working directory is that of sbatch.
srun --kill-on-bad-exit=1 "${PYTHON:-python}" -u "tools/$1.py" "$2" --launcher slurm --resume \
  "${@:3}" &
wait $!
