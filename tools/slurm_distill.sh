#!/usr/bin/env bash
# Distill a dataset on a Slurm cluster.
exec "$(dirname "$0")/slurm_run.sh" distill "$@"
