#!/usr/bin/env bash
# Measure guided sampling on a machine with one GPU that lacks some packages.
#
#   bash tools/analysis_tools/gpu_report.sh WHEELS [options of gpu_report.py]
#
# WHEELS is a folder of wheels (mmcv compiled for the GPU, mmdet, mmengine, diffusers, ...). They
# are installed for this run alone, into a temporary folder; PYTHON names the Python (python3).
set -euo pipefail

wheels=${1:?give the folder of the wheels first}
shift
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/../.." && pwd)
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
"$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
cd "$root"
PYTHONPATH="$site:$root${PYTHONPATH:+:$PYTHONPATH}" \
    "$python" tools/analysis_tools/gpu_report.py "$@"
