#!/usr/bin/env bash
# Train a proxy or a student on several GPUs (or CPU processes) of one or more machines.
exec "$(dirname "$0")/dist_run.sh" train "$@"
