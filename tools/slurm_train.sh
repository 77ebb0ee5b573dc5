#!/usr/bin/env bash
# Train a proxy or a student on a Slurm cluster.
exec "$(dirname "$0")/slurm_run.sh" train "$@"
