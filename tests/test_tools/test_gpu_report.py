"""The report of one machine with a GPU, tried with tiny networks."""
import os
import os.path as osp
import re
import runpy
import subprocess
import sys
import time
import zipfile

import pytest

FOLDER = osp.join(osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))),
                  'tools/analysis_tools')
TOOL = osp.join(FOLDER, 'gpu_report.py')


def report(monkeypatch, path, *options):
    monkeypatch.setattr(sys, 'argv', [TOOL, '--tiny', '--out', str(path), *options])
    runpy.run_path(TOOL, run_name='__main__')
    return path.read_text()


def test_a_tiny_report(tmp_path, monkeypatch):
    text = report(monkeypatch, tmp_path / 'report.md', '--steps', '2', '--batch-sizes', '2')
    rows = [[cell.strip() for cell in line.strip('|\n ').split('|')]
            for line in text.splitlines() if line.startswith('| tiny')]
    assert [row[3] for row in rows] == ['unguided', 'latent', 'latent', 'latent', 'denoised',
                                        'denoised']
    assert [row[5] for row in rows] == ['-', 'no', 'yes', 'no', 'no', 'no']
    assert rows[0][8] == '1.00' and all(float(row[8]) > 1 for row in rows[1:])
    assert all(float(row[7]) > 0 and float(row[9]) > 0 for row in rows)
    assert re.search(r'torch \d.*2 steps per row', text) and 'Not measured' not in text


def test_what_the_minutes_do_not_suffice_for_is_named(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 30))
    monkeypatch.setattr(time, 'monotonic', lambda: next(clock))
    text = report(monkeypatch, tmp_path / 'report.md', '--minutes', '1', '--steps', '1',
                  '--batch-sizes', '1')
    assert text.count('\n| tiny') == 1
    assert '- tiny 64 fp32 denoised small no batch 1' in text.split('want of time')[1]


@pytest.fixture
def wheels(tmp_path):
    """A folder with one wheel, of a module that the tool does not need."""
    os.mkdir(tmp_path / 'wheels')
    with zipfile.ZipFile(tmp_path / 'wheels/carried-1.0-py3-none-any.whl', 'w') as wheel:
        wheel.writestr('carried.py', 'HERE = True\n')
        wheel.writestr('carried-1.0.dist-info/METADATA',
                       'Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n')
        wheel.writestr('carried-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\n'
                       'Root-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr('carried-1.0.dist-info/RECORD', '')
    return tmp_path / 'wheels'


def test_wheels_are_there_for_the_run_alone(wheels, tmp_path):
    """The Python of the run is a stand-in: pip installs, the tool is asked what it sees."""
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\n[ "$1" = -m ] && exec {sys.executable} "$@"\n'
                      f'exec {sys.executable} -c "import carried; print(carried.__file__)" "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(['bash', osp.join(FOLDER, 'gpu_report.sh'), str(wheels), '--tiny'],
                          env={**os.environ, 'PYTHON': str(python)}, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    place = done.stdout.strip()
    assert place.endswith('carried.py') and not osp.exists(place)
