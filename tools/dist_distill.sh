#!/usr/bin/env bash
# Distill a dataset on several GPUs (or CPU processes) of one or more machines.
exec "$(dirname "$0")/dist_run.sh" distill "$@"
