"""The converter builds the set that the class builds."""
import processes

from mmdd.datasets import DigitScenes
from mmdd.utils.io import sha256


def test_converter_builds_the_same_set(tmp_path):
    command = ['tools/dataset_converters/digit_scenes.py', tmp_path / 'a', '--scenes', 2, 1, 1,
               '--singles', 10, 0, 0, '--size', 48, '--seed']
    processes.run(*command, 3)
    DigitScenes(str(tmp_path / 'b'), dict(train=2, val=1, test=1),
                dict(train=10, val=0, test=0), 48, 3).build()
    files = sorted(p.relative_to(tmp_path / 'b') for p in (tmp_path / 'b').rglob('*.*'))
    assert len(files) > 20
    for file in files:
        assert sha256(str(tmp_path / 'a' / file)) == sha256(str(tmp_path / 'b' / file))
    other = processes.Started(*command, 4)
    assert other.wait() == 1 and 'other settings' in other.output.splitlines()[-1]
