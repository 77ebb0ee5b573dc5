"""The converter builds the set that the class builds."""
import subprocess
import sys

from mmdd.datasets import DigitScenes
from mmdd.utils.io import sha256


def test_converter_builds_the_same_set(tmp_path):
    command = [sys.executable, 'tools/dataset_converters/digit_scenes.py', str(tmp_path / 'a'),
               '--scenes', '2', '1', '1', '--singles', '10', '0', '0', '--size', '48',
               '--seed', '3']
    assert subprocess.run(command, capture_output=True).returncode == 0
    DigitScenes(str(tmp_path / 'b'), dict(train=2, val=1, test=1),
                dict(train=10, val=0, test=0), 48, 3).build()
    files = sorted(p.relative_to(tmp_path / 'b') for p in (tmp_path / 'b').rglob('*.*'))
    assert len(files) > 20
    for file in files:
        assert sha256(str(tmp_path / 'a' / file)) == sha256(str(tmp_path / 'b' / file))
    other = subprocess.run(command[:-1] + ['4'], capture_output=True, text=True)
    assert other.returncode == 1 and 'other settings' in other.stderr.splitlines()[-1]
